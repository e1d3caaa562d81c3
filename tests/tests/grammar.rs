//! The grammar that the book prints is the one that the parser reads by: its rules are whole, what they derive is read without a
//! complaint, and what they do not is complained of. Everything here starts from the printed text.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use oko_diagnostics::{Code, FileId, codes::lex as codes};
use oko_grammar::ast::{ExprKind, ItemKind, LiteralKind};
use oko_grammar::parse;
use oko_tests::ebnf::{Grammar, Token, lalrpop};
use oko_tests::random::Random;

/// Tokens that may stand between all others.
const BETWEEN: [&str; 2] = ["COMMENT", "SPACE"];

/// Tokens that are values, and names.
const VALUES: [&str; 9] = [
    "IDENTIFIER",
    "NUMBER",
    "STRING",
    "PERCENTAGE",
    "DURATION",
    "RATE",
    "IPV4_ADDRESS",
    "IPV6_ADDRESS",
    "MAC_ADDRESS",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// All blocks of the chapter, read as one grammar.
fn printed() -> Grammar {
    let chapter =
        fs::read_to_string(root().join("book/src/language/grammar.md")).expect("there is the chapter");
    let blocks = chapter.split("```ebnf\n").skip(1).filter_map(|rest| rest.split("```").next());
    Grammar::read(&blocks.collect::<String>())
}

#[test]
fn every_rule_that_is_used_is_defined_and_the_other_way_round() {
    let grammar = printed();
    let defined: BTreeSet<&str> = grammar.rules.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(defined.len(), grammar.rules.len(), "a rule is defined twice");
    let used = grammar.used();
    assert_eq!(used.difference(&defined).collect::<Vec<_>>(), Vec::<&&str>::new(), "used, but not defined");
    let unused: Vec<&str> = defined.difference(&used).copied().collect();
    assert_eq!(
        unused,
        ["COMMENT", "File", "SPACE"],
        "only the start, and what stands between tokens, is not used"
    );
}

#[test]
fn every_word_and_sign_of_the_lexer_is_printed_and_no_other() {
    let lexer = lalrpop::texts(include_str!("../../grammar/src/token.rs"));
    let grammar = printed();
    let printed: BTreeSet<String> = grammar.texts().into_iter().map(str::to_owned).collect();
    assert!(lexer.len() > 80, "{lexer:?}");
    assert_eq!(printed, lexer);
}

/// What the compiler reads a text as.
#[derive(PartialEq, Eq, Debug)]
enum Read {
    /// One token.
    As(&'static str),
    /// A token that is too large, or none for another reason that no rule can say.
    Beyond(Code),
    /// No token, or several.
    Otherwise,
}

/// Has the compiler read `text` where a value stands.
fn read_value(text: &str) -> Read {
    let begin = "const x: u8 = ";
    let (file, found) = parse(FileId(0), &format!("{begin}{text};"));
    if let Some(first) = found.first() {
        let whole = first.span().is_some_and(|span| span.range() == (begin.len()..begin.len() + text.len()));
        let beyond = first.code == codes::BAD_ADDRESS
            || whole && [codes::NUMBER_TOO_LARGE, codes::HOST_BITS].contains(&first.code);
        return if beyond { Read::Beyond(first.code) } else { Read::Otherwise };
    }
    let [item] = file.items.as_slice() else { return Read::Otherwise };
    let ItemKind::Const(node) = &item.kind else { return Read::Otherwise };
    if node.value.span.range() != (begin.len()..begin.len() + text.len()) {
        return Read::Otherwise;
    }
    Read::As(match &node.value.kind {
        ExprKind::Name(_) => "IDENTIFIER",
        ExprKind::Literal(literal) => match literal.kind {
            LiteralKind::Int(_) => "NUMBER",
            LiteralKind::Str(_) => "STRING",
            LiteralKind::Percent(_) => "PERCENTAGE",
            LiteralKind::Duration(_) => "DURATION",
            LiteralKind::Rate { .. } => "RATE",
            LiteralKind::Ip4 { .. } => "IPV4_ADDRESS",
            LiteralKind::Ip6 { .. } => "IPV6_ADDRESS",
            LiteralKind::Mac(_) => "MAC_ADDRESS",
        },
        _ => return Read::Otherwise,
    })
}

/// A text of a token that the compiler takes.
fn spelled(grammar: &Grammar, name: &str, random: &mut Random) -> String {
    loop {
        let text = grammar.spell(name, random);
        let taken = VALUES
            .iter()
            .find(|value| **value == name)
            .is_none_or(|value| read_value(&text) == Read::As(value));
        if taken {
            return text;
        }
    }
}

#[test]
fn tokens_are_what_the_lexer_takes() {
    let grammar = printed();
    let words = grammar.texts();
    let random = &mut Random(1);
    let signs: Vec<char> = "0123456789abcdefxKMGipnsuhm__..::::///%\\\"-".chars().collect();
    let mut one = 0;
    for turn in 0..6_000 {
        let mut text: Vec<char> = grammar.spell(VALUES[turn % VALUES.len()], random).chars().collect();
        for _ in 0..random.below(3) {
            let at = random.below(text.len() as u64 + 1) as usize;
            let sign = signs[random.below(signs.len() as u64) as usize];
            match random.below(3) {
                0 => text.insert(at, sign),
                1 if at < text.len() => text[at] = sign,
                _ if at < text.len() => _ = text.remove(at),
                _ => {}
            }
        }
        let text: String = text.into_iter().collect();
        let mut printed: Vec<&str> = VALUES.into_iter().filter(|name| grammar.matches(name, &text)).collect();
        if words.contains(text.as_str()) {
            // A word of the language. Some are names; they have a rule of their own.
            continue;
        }
        match read_value(&text) {
            Read::As(name) => {
                one += 1;
                assert_eq!(printed, [name], "`{text}`");
            }
            Read::Beyond(code) if code == codes::BAD_ADDRESS => {
                printed.retain(|name| *name != "IPV6_ADDRESS");
                assert!(printed.is_empty(), "`{text}` is no address, but {printed:?}");
            }
            Read::Beyond(code) => assert_eq!(printed.len(), 1, "`{text}`, {code}: {printed:?}"),
            Read::Otherwise => assert!(printed.is_empty(), "`{text}` is not read as {printed:?}"),
        }
    }
    assert!((2_000..5_500).contains(&one), "{one} of 6,000 are tokens");
}

/// The text of tokens; comments end their lines.
fn written<'t>(tokens: impl IntoIterator<Item = &'t str>) -> String {
    let mut text = String::new();
    for token in tokens {
        let comment = token.starts_with("//");
        text.push_str(if comment && !text.ends_with('\n') { "\n" } else { " " });
        text.push_str(token);
        text.push_str(if comment { "\n" } else { "" });
    }
    text
}

#[test]
fn what_the_grammar_derives_is_read() {
    let grammar = printed();
    let random = &mut Random(2);
    let mut seen = BTreeSet::new();
    for turn in 0..3_000 {
        let deep = 6 + turn % 31;
        let mut token = |name: &str, random: &mut Random| spelled(&grammar, name, random);
        let sentence = grammar.derive("Item", deep, random, &mut token);
        let text = written(sentence.iter().map(String::as_str));
        let (_, found) = parse(FileId(0), &text);
        assert!(found.is_empty(), "{text}\n{found:#?}");
        seen.extend(sentence);
    }
    let unseen: Vec<&str> = grammar.texts().into_iter().filter(|text| !seen.contains(*text)).collect();
    assert!(unseen.is_empty(), "in none of the sentences: {unseen:?}");
}

/// The programs of the library, the examples, the parser's tests and the book, with their names.
fn programs() -> Vec<(String, String)> {
    let mut programs = Vec::new();
    for module in oko_stdlib::modules() {
        let text = oko_stdlib::source(module).expect("a listed module has a text");
        programs.push((module.to_string(), text.to_owned()));
    }
    for folder in ["examples", "grammar/tests/programs", "book/src", "book/src/language"] {
        for entry in fs::read_dir(root().join(folder)).expect("the folder is there") {
            let path = entry.expect("the folder can be read").path();
            let is = |extension: &str| path.extension().is_some_and(|found| found == extension);
            if !is("oko") && !is("md") {
                continue;
            }
            let text = fs::read_to_string(&path).expect("programs and chapters are text");
            let name = path.display().to_string();
            if is("oko") {
                programs.push((name, text));
                continue;
            }
            // Those that compile.
            let blocks = text.split("```oko\n").skip(1).filter_map(|rest| rest.split("```").next());
            programs.extend(blocks.map(|block| (name.clone(), block.to_owned())));
        }
    }
    assert!(programs.len() > 70, "{}", programs.len());
    programs
}

#[test]
fn programs_are_sentences_and_with_a_token_out_of_place_only_if_the_parser_says_so() {
    let grammar = printed();
    let mut items: Vec<Vec<Token>> = Vec::new();
    for (name, text) in programs() {
        let tokens =
            grammar.scan(&text, &BETWEEN).unwrap_or_else(|| panic!("{name} has tokens of another kind"));
        assert!(grammar.accepts(&tokens), "{name} is no sentence");
        let (file, found) = parse(FileId(0), &text);
        assert!(found.is_empty(), "{name}: {found:?}");
        for item in &file.items {
            items
                .extend(grammar.scan(&text[item.span.range()], &BETWEEN).filter(|tokens| tokens.len() < 300));
        }
    }
    let random = &mut Random(3);
    let pick = |random: &mut Random, length: usize| random.below(length as u64) as usize;
    let mut taken = 0;
    let turns = 4_000;
    for _ in 0..turns {
        let mut tokens = items[pick(random, items.len())].clone();
        let at = pick(random, tokens.len());
        let other = &items[pick(random, items.len())];
        let other = other[pick(random, other.len())].clone();
        match random.below(4) {
            0 => _ = tokens.remove(at),
            1 => tokens.insert(at, other),
            2 => tokens[at] = other,
            _ => {
                let to = pick(random, tokens.len());
                tokens.swap(at, to);
            }
        }
        let text = written(tokens.iter().map(|token| token.text.as_str()));
        let (_, found) = parse(FileId(0), &text);
        let accepted = grammar.accepts(&tokens);
        taken += usize::from(accepted);
        assert_eq!(accepted, found.is_empty(), "{text}\n{found:#?}");
    }
    assert!((turns / 20..turns).contains(&taken), "{taken} of {turns} are sentences");
}
