//! Settings of states and tables: which ones there are, which one must be there, and what they may be.

use oko_diagnostics::codes::{names, state};
use oko_diagnostics::{Diagnostic, Span};
use oko_grammar::ast;

use super::Checker;
use super::body::{BodyChecker, Place};
use super::coerce::fits;
use crate::geometry;
use crate::hir::{Content, Expire, Expr, FnId, Merge, TokensInit};
use crate::resolve::{Def, Store};
use crate::suggest::nearest;
use crate::types::{Num, Range, Ty};

/// The longest window, in nanoseconds: 39 hours, so that its arithmetic stays within 64 bits.
pub(crate) const MAX_WINDOW: u64 = 1 << 47;

/// The most tokens that fit in a bucket, which counts in billionths of a token.
pub(crate) const MAX_BURST: u64 = u64::MAX / 1_000_000_000;

/// The most entries a state can have.
const MAX_CAPACITY: u64 = 1 << 28;

/// The shortest and longest time constant of averages: 10 ms and 24 hours.
const TIME_CONSTANTS: (u64, u64) = (10_000_000, 86_400_000_000_000);

/// All settings.
const SETTINGS: &[&str] =
    &["capacity", "when_full", "expire", "window", "init", "error", "confidence", "time_constant", "merge"];

/// Why each of them must be there, where it must.
fn why(name: &str) -> &'static str {
    match name {
        "capacity" => {
            "all memory is taken when the filter is loaded, so that no packet ever waits for some or finds none"
        }
        "when_full" => "whoever sends packets can bring new keys without end",
        "expire" => {
            "an entry that stays for ever fills the state, one that goes too early is a lost connection"
        }
        "window" => "a window forgets what is older than its length",
        "init" => "a bucket that is made for a new key begins with its burst",
        "merge" => "each core has entries of its own, and the control plane sees one",
        _ => "memory is taken for as much accuracy as is asked for, and no more",
    }
}

/// The setting that is meant by a name that is none.
fn meant(name: &str) -> Option<&'static str> {
    let known = match name {
        "ttl" | "timeout" | "expires" | "expiry" | "expiration" | "lifetime" | "idle" | "idle_timeout"
        | "max_age" => Some("expire"),
        "size" | "max_entries" | "max_size" | "entries_max" | "length" => Some("capacity"),
        "full" | "on_full" | "eviction" | "policy" => Some("when_full"),
        "period" | "interval" | "duration" => Some("window"),
        "alpha" | "weight" | "half_life" | "decay" | "tau" | "smoothing" => Some("time_constant"),
        "rate" | "burst" | "refill" | "tokens" => Some("init"),
        _ => None,
    };
    known.or_else(|| nearest(name, SETTINGS.iter().copied()))
}

impl Checker<'_, '_> {
    /// Reports names of settings that are unknown or given twice.
    pub(super) fn setting_names(&mut self, store: &Store<'_>) {
        let mut seen: Vec<&ast::Ident> = Vec::new();
        for setting in store.settings {
            let name = &setting.name;
            if let Some(first) = seen.iter().find(|other| other.name == name.name) {
                let first = first.span;
                self.report(
                    Diagnostic::error(names::DUPLICATE, format!("`{}` is set twice", name.name))
                        .label(name.span, "set again here")
                        .label(first, "first set here"),
                );
            }
            let seen = {
                seen.push(name);
                &seen[..seen.len() - 1]
            };
            if !SETTINGS.contains(&name.name.as_str()) {
                let diagnostic =
                    Diagnostic::error(names::UNKNOWN_SETTING, format!("there is no setting `{}`", name.name))
                        .label(name.span, "not known here");
                let first = !seen
                    .iter()
                    .any(|other| meant(&other.name).is_some() && meant(&other.name) == meant(&name.name));
                self.report(match meant(&name.name) {
                    // What a bucket is, is said in one setting.
                    Some("init") if !first => continue,
                    Some("init") => diagnostic.help("say what a bucket is in one: `init: tokens(rate: 1_000pps, burst: 2_000)`"),
                    Some("time_constant") => diagnostic.help("an average has a time, after which values count 37%: `time_constant: 10s`"),
                    Some(near) => diagnostic.suggest(name.span, near, format!("did you mean `{near}`?")),
                    None if store.is_table => diagnostic.help(
                        "a table has a `capacity`; its entries are written by the operator, `okoctl table insert`, and by tests; a list that stays the same is a `const`",
                    ),
                    None => {
                        let known: Vec<String> = SETTINGS.iter().map(|name| format!("`{name}`")).collect();
                        diagnostic.help(format!("the settings are {}", known.join(", ")))
                    }
                });
            }
        }
    }

    /// A setting that must be there.
    pub(super) fn required<'t>(
        &mut self,
        store: &Store<'t>,
        name: &str,
        help: &str,
    ) -> Option<&'t ast::Expr> {
        let found = setting(store, name);
        let misspelt = |other: &str| !SETTINGS.contains(&other) && meant(other) == Some(name);
        if found.is_none() && !store.settings.iter().any(|setting| misspelt(&setting.name.name)) {
            self.report(
                Diagnostic::error(
                    state::MISSING_SETTING,
                    format!("`{}` does not say its `{name}`", store.name.name),
                )
                .label(store.name.span, format!("`{name}` is missing"))
                .note(why(name))
                .help(help),
            );
        }
        found
    }

    /// Reports a setting that means nothing here.
    pub(super) fn useless(&mut self, store: &Store<'_>, name: &str, why: &str) {
        if let Some(value) = setting(store, name) {
            self.report(
                Diagnostic::error(
                    state::USELESS_SETTING,
                    format!("`{name}` means nothing for `{}`", store.name.name),
                )
                .label(value.span, why)
                .help(format!("remove `{name}`")),
            );
        }
    }

    /// `capacity`, which must be there; 1 where it was reported.
    pub(super) fn capacity(&mut self, store: &Store<'_>) -> u32 {
        let help = "say how many entries there can be: `capacity: 65_536`";
        let limits = Ty::Num(Num { range: Range::new(1, MAX_CAPACITY.into()), ..Num::uint(32) });
        // Of an array whose size was reported, nothing more is said about its indices.
        let most = 65_536;
        let Some(value) = self.required(store, "capacity", help) else { return most };
        let value = self.constant(store.module, value, &limits, "`capacity`", value.span);
        value.and_then(|value| u32::try_from(value.constant()?).ok()).unwrap_or(most)
    }

    /// `when_full`, which must be there: whether the oldest entry makes room.
    pub(super) fn evicts(&mut self, store: &Store<'_>) -> bool {
        let policy = self.required(
            store,
            "when_full",
            "say what happens to a new key when all entries are taken: `when_full: evict_oldest` or `when_full: refuse`",
        );
        policy.is_none_or(|policy| match name_of(policy) {
            Some("evict_oldest") => true,
            Some("refuse") => false,
            _ => {
                let diagnostic =
                    Diagnostic::error(state::BAD_SETTING, "`when_full` is `evict_oldest` or `refuse`")
                        .label(policy.span, "neither of them")
                        .note("`evict_oldest` gives the place of the entry whose last write is longest ago to the new key")
                        .note("`refuse` leaves the new key out");
                let near = match name_of(policy).unwrap_or_default() {
                    "evict" | "lru" | "evict_lru" | "oldest" | "drop_oldest" | "replace" | "overwrite" => {
                        Some("evict_oldest")
                    }
                    "reject" | "deny" | "fail" | "drop" | "ignore" | "drop_newest" | "keep" => Some("refuse"),
                    other => nearest(other, ["evict_oldest", "refuse"]),
                };
                self.report(match near {
                    Some(near) => diagnostic.suggest(policy.span, near, format!("did you mean `{near}`?")),
                    None => diagnostic.help("say which of them"),
                });
                true
            }
        })
    }

    /// `expire`: a duration, `never`, or a function of the value.
    pub(super) fn expire(&mut self, store: &Store<'_>, must_be: bool, content: &Content) -> Expire {
        let help = "say how long an entry stays after its last write: `expire: 60s`, or `expire: never`";
        let value = if must_be { self.required(store, "expire", help) } else { setting(store, "expire") };
        let Some(value) = value else { return Expire::Never };
        if let Some(name) = name_of(value) {
            if name == "never" {
                return Expire::Never;
            }
            if let Some((Def::Fn(id), _)) = self.decls.scopes[store.module].get(name) {
                return self.expire_fn(id, content, value.span);
            }
        }
        let scope = &self.decls.scopes[store.module];
        if let ast::ExprKind::Call { callee, args } = &value.kind
            && let Some(name) = name_of(callee)
            && args.is_empty()
            && matches!(scope.get(name), Some((Def::Fn(_), _)))
        {
            self.report(
                Diagnostic::error(state::BAD_SETTING, format!("`{name}` is not called here"))
                    .label(value.span, "each entry is given to it when its value is written")
                    .suggest(value.span, name, format!("write `expire: {name}`")),
            );
            return Expire::Never;
        }
        if let ast::ExprKind::None = value.kind {
            self.report(
                Diagnostic::error(state::BAD_SETTING, "an entry that stays for ever has `expire: never`")
                    .label(value.span, "no time")
                    .suggest(value.span, "never", "write `never`"),
            );
            return Expire::Never;
        }
        let mut body = BodyChecker::new(self, store.module, Place::Setting);
        let value = body.expect(value, &Ty::duration(), value.span);
        Expire::After(value)
    }

    fn expire_fn(&mut self, id: FnId, content: &Content, span: Span) -> Expire {
        let def = &self.program.fns[id.index()];
        let (declared, result, params) = (def.span, def.result.clone(), def.params.clone());
        let Content::Value(wanted) = content else {
            self.report(
                Diagnostic::error(state::BAD_SETTING, "only plain values can say how long they stay")
                    .label(span, "a function of the value")
                    .help("write a duration instead"),
            );
            return Expire::Never;
        };
        let takes = matches!(params.as_slice(), [(_, ty)] if fits(wanted, ty));
        if takes && fits(&result, &Ty::duration()) {
            return Expire::Of(id);
        }
        if !(wanted.is_error() || result.is_error() || params.iter().any(|(_, ty)| ty.is_error())) {
            let wanted = wanted.describe(&self.program);
            self.report(
                Diagnostic::error(state::BAD_SETTING, "this function cannot say how long an entry stays")
                    .label(span, format!("a function from `{wanted}` to `duration` is needed"))
                    .label(declared, "declared here")
                    .help(format!(
                        "declare it as `fn {}(value: {wanted}) -> duration`",
                        self.program.fns[id.index()].name
                    )),
            );
        }
        Expire::Never
    }

    /// A constant duration within bounds, in nanoseconds.
    fn length(
        &mut self,
        store: &Store<'_>,
        value: &ast::Expr,
        name: &str,
        (least, most): (u64, u64),
        rule: &str,
    ) -> Option<u64> {
        let value = self.constant(store.module, value, &Ty::duration(), &format!("`{name}`"), value.span)?;
        let length = value.constant()?;
        if (least..=most).contains(&length) {
            return Some(length);
        }
        self.report(Diagnostic::error(state::BAD_SETTING, rule).label(value.span, "not such a time"));
        None
    }

    /// The length of windows in nanoseconds; `None` where it was reported.
    pub(super) fn window_length(&mut self, store: &Store<'_>, value: &ast::Expr) -> Option<u64> {
        self.length(store, value, "window", (1, MAX_WINDOW), "a window is longer than 0 and at most 39 hours")
    }

    /// The length of a generation of a Bloom filter in nanoseconds; `None` for `never`.
    pub(super) fn generation(&mut self, store: &Store<'_>) -> Option<u64> {
        let help = "say how long a key is remembered at least: `expire: 60s`, or `expire: never`";
        let value = self.required(store, "expire", help)?;
        if name_of(value) == Some("never") {
            return None;
        }
        self.length(
            store,
            value,
            "expire",
            (1, MAX_WINDOW),
            "this time is longer than 0 and at most 39 hours",
        )
    }

    /// The time constant of averages; 1 where there are none.
    pub(super) fn time_constant(&mut self, store: &Store<'_>, needed: bool) -> u64 {
        if !needed {
            self.useless(store, "time_constant", "there is no `ewma` in this state");
            return 1;
        }
        let help =
            "say how fast old values lose weight: `time_constant: 10s`; after that time they count 37%";
        let Some(value) = self.required(store, "time_constant", help) else { return 1 };
        let rule = "a time constant is at least 10 ms and at most 24 hours";
        self.length(store, value, "time_constant", TIME_CONSTANTS, rule).unwrap_or(1)
    }

    /// A percentage above 0 and below 100, in millionths.
    pub(super) fn share(&mut self, value: &ast::Expr, name: &str) -> Option<u64> {
        if let ast::ExprKind::Literal(ast::Literal { kind: ast::LiteralKind::Percent(millionths), .. }) =
            &value.kind
            && (1..geometry::MILLION).contains(millionths)
        {
            return Some(*millionths);
        }
        self.report(
            Diagnostic::error(
                state::BAD_SETTING,
                format!("`{name}` is a percentage above 0% and below 100%"),
            )
            .label(value.span, "not such a percentage")
            .help(format!(
                "write it with at most four places: `{name}: {}`",
                if name == "confidence" { "99.9%" } else { "1%" }
            )),
        );
        None
    }

    /// What new token buckets are.
    pub(super) fn tokens(&mut self, store: &Store<'_>, needed: bool) -> Option<TokensInit> {
        if !needed {
            self.useless(store, "init", "there are no `tokens` in this state");
            return None;
        }
        let value = self.required(
            store,
            "init",
            "say what a new bucket is: `init: tokens(rate: 1_000pps, burst: 2_000)`",
        )?;
        let mut found: [Option<Expr>; 2] = [None, None];
        let mut ok = false;
        if let ast::ExprKind::Call { callee, args } = &value.kind
            && name_of(callee) == Some("tokens")
        {
            ok = args.len() == 2;
            for arg in args {
                let (slot, ty) = match arg.name.as_ref().map(|name| name.name.as_str()) {
                    Some("rate") => (0, at_least_one(Ty::rate(), u64::MAX)),
                    Some("burst") => (1, at_least_one(Ty::uint(64), MAX_BURST)),
                    _ => {
                        ok = false;
                        continue;
                    }
                };
                let mut body = BodyChecker::new(self, store.module, Place::Setting);
                found[slot] = Some(body.expect(&arg.value, &ty, store.name.span));
            }
        }
        let [Some(rate), Some(burst)] = found else {
            self.bad_init(value.span);
            return None;
        };
        if !ok {
            self.bad_init(value.span);
        }
        Some(TokensInit { rate, burst })
    }

    fn bad_init(&mut self, span: Span) {
        self.report(
            Diagnostic::error(state::BAD_SETTING, "a bucket of tokens needs its rate and burst")
                .label(span, "not `tokens(rate: …, burst: …)`")
                .help("write `init: tokens(rate: 1_000pps, burst: 2_000)`; both may be params"),
        );
    }

    /// With `per core`: what the control plane makes of the cores' entries.
    pub(super) fn merge(&mut self, store: &Store<'_>, content: &Content) -> Option<Merge> {
        let Some(per) = store.per else {
            self.useless(store, "merge", "all cores share the entries: there is nothing to merge");
            return None;
        };
        if per.name != "core" {
            self.report(
                Diagnostic::error(state::BAD_SETTING, "state can be kept per core, and per nothing else")
                    .label(per.span, "`core` is expected here")
                    .help("to keep something per address, make the address the key of a `map`"),
            );
            return None;
        }
        let help =
            "say what the control plane makes of the cores' entries: `merge: sum`, `max`, `min` or `latest`";
        let value = self.required(store, "merge", help)?;
        let merge = match name_of(value) {
            Some("sum") => Merge::Sum,
            Some("max") => Merge::Max,
            Some("min") => Merge::Min,
            Some("latest") => Merge::Latest,
            _ => {
                self.report(
                    Diagnostic::error(state::BAD_SETTING, "`merge` is `sum`, `max`, `min` or `latest`")
                        .label(value.span, "none of them")
                        .help("write `merge: sum` for what is counted, `merge: latest` for what cannot be added")
                        .note("`latest` takes the entry that was written last"),
                );
                return None;
            }
        };
        if merge != Merge::Latest && !self.is_summable(content) {
            self.report(
                Diagnostic::error(
                    state::BAD_SETTING,
                    "only plain numbers and counters have a sum, a maximum and a minimum",
                )
                .label(value.span, "the entries are something else")
                .label(store.ty.span, "declared here")
                .help("write `merge: latest`, or let all cores share the entries"),
            );
        }
        Some(merge)
    }
}

/// The value of a setting.
pub(super) fn setting<'t>(store: &Store<'t>, name: &str) -> Option<&'t ast::Expr> {
    store.settings.iter().find(|setting| setting.name.name == name).map(|setting| &setting.value)
}

/// The name that an expression is.
fn name_of(value: &ast::Expr) -> Option<&str> {
    match &value.kind {
        ast::ExprKind::Name(name) => Some(&name.name),
        _ => None,
    }
}

/// The type with the range from 1 to `max`.
fn at_least_one(ty: Ty, max: u64) -> Ty {
    match ty {
        Ty::Num(num) => Ty::Num(Num { range: Range::new(1, i128::from(max)), ..num }),
        other => other,
    }
}
