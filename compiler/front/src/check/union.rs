//! Unions of headers, and other names for types.

use oko_diagnostics::codes::{packets, types};
use oko_diagnostics::{Diagnostic, Span};
use oko_grammar::ast;

use super::Checker;
use crate::hir::{HeaderId, UnionDef, UnionId};
use crate::resolve::Def;
use crate::suggest::nearest;
use crate::types::Ty;

/// The most headers of a union.
const MAX_MEMBERS: usize = 16;

/// The longest chain of types or unions that are declared by one another.
const MAX_CHAIN: u32 = 32;

/// How far another name for a type is.
pub(super) enum Alias {
    /// Nobody has asked yet.
    Unseen,
    /// It is being read.
    Open,
    /// What it stands for.
    Known(Ty),
}

impl Checker<'_, '_> {
    /// The `union`s.
    pub(super) fn unions(&mut self) {
        for at in 0..self.decls.unions.len() {
            let source = &self.decls.unions[at];
            let (module, item, ast) = (source.module, source.item, source.ast);
            self.no_attributes(item);
            let mut headers: Vec<HeaderId> = Vec::new();
            for member in &ast.members {
                for header in self.union_member(module, member, &mut vec![at]) {
                    if !headers.contains(&header) {
                        headers.push(header);
                    }
                }
            }
            if headers.len() > MAX_MEMBERS {
                self.report(
                    Diagnostic::error(
                        packets::BAD_UNION,
                        format!("the union `{}` has too many headers", ast.name.name),
                    )
                    .label(
                        ast.name.span,
                        format!("{}, and at most {MAX_MEMBERS} are allowed", headers.len()),
                    ),
                );
                headers.truncate(MAX_MEMBERS);
            }
            self.program.unions.push(UnionDef { name: ast.name.name.clone(), span: ast.name.span, headers });
        }
    }

    /// The headers that a member of a union stands for; `open` are the unions that are being looked into.
    fn union_member(&mut self, module: usize, member: &ast::Path, open: &mut Vec<usize>) -> Vec<HeaderId> {
        let spelled = member.to_string();
        let found = self.decls.scopes[module].get(&spelled);
        let diagnostic = match found {
            Some((Def::Header(id), _)) => return vec![id],
            Some((Def::Error, _)) => return Vec::new(),
            Some((Def::Union(id), declared)) => {
                if open.contains(&id.index()) || open.len() >= MAX_CHAIN as usize {
                    let name = &self.decls.unions[id.index()].ast.name.name;
                    let diagnostic =
                        Diagnostic::error(types::CIRCLE, format!("the union `{name}` would hold itself"))
                            .label(member.span, "named here again")
                            .label(declared, "this union");
                    self.report(diagnostic);
                    return Vec::new();
                }
                open.push(id.index());
                let source = &self.decls.unions[id.index()];
                let (home, ast) = (source.module, source.ast);
                let mut headers = Vec::new();
                // What is wrong inside of it is reported where it is declared itself.
                for inner in &ast.members {
                    if let Some((Def::Header(_) | Def::Union(_), _)) =
                        self.decls.scopes[home].get(&inner.to_string())
                    {
                        headers.extend(self.union_member(home, inner, open));
                    }
                }
                open.pop();
                return headers;
            }
            Some((other, declared)) => Diagnostic::error(packets::BAD_UNION, "a union consists of headers")
                .label(member.span, format!("this is {}", other.describe()))
                .label(declared, "named here"),
            None => {
                let scope = &self.decls.scopes[module];
                let known = scope
                    .names()
                    .filter(|(_, def)| matches!(def, Def::Header(_) | Def::Union(_)))
                    .map(|(name, _)| name);
                let diagnostic =
                    Diagnostic::error(packets::BAD_UNION, format!("there is no header `{spelled}` here"))
                        .label(member.span, "not known here");
                match nearest(&spelled, known) {
                    Some(near) => diagnostic.suggest(member.span, near, format!("did you mean `{near}`?")),
                    None => diagnostic,
                }
            }
        };
        self.report(diagnostic);
        Vec::new()
    }

    /// The headers of a union.
    pub(super) fn union_headers(&self, id: UnionId) -> Vec<HeaderId> {
        self.program.unions.get(id.index()).map(|def| def.headers.clone()).unwrap_or_default()
    }

    /// What all other names for types stand for, so that errors in unused ones are reported too.
    pub(super) fn all_aliases(&mut self) {
        for at in 0..self.decls.aliases.len() {
            let (item, span) = (self.decls.aliases[at].item, self.decls.aliases[at].ast.name.span);
            self.no_attributes(item);
            self.alias(at, span);
        }
    }

    /// What another name for a type stands for, asked for at `span`.
    pub(super) fn alias(&mut self, at: usize, span: Span) -> Ty {
        let (module, ast) = (self.decls.aliases[at].module, self.decls.aliases[at].ast);
        let open = match &self.aliases[at] {
            Alias::Known(ty) => return ty.clone(),
            Alias::Open => true,
            Alias::Unseen => self.depth >= MAX_CHAIN,
        };
        if open {
            self.report(
                Diagnostic::error(types::CIRCLE, format!("the type `{}` is defined by itself", ast.name))
                    .label(span, "needed here")
                    .label(ast.name.span, "to say what this is"),
            );
            return Ty::Error;
        }
        self.aliases[at] = Alias::Open;
        self.depth += 1;
        let ty = self.aloud(|checker| {
            let parts: Vec<Ty> = ast.alternatives.iter().map(|ty| checker.value_type(module, ty)).collect();
            match parts.as_slice() {
                [one] => one.clone(),
                [Ty::Ip4, Ty::Ip6] | [Ty::Ip6, Ty::Ip4] => Ty::Addr,
                parts if parts.iter().any(Ty::is_error) => Ty::Error,
                _ => {
                    checker.report(
                        Diagnostic::error(packets::BAD_ALTERNATIVES, "these types have no type in common")
                            .label(ast.name.span, "the values of this type could not be told apart")
                            .help("`ip4 | ip6` are the only alternatives that a type can have"),
                    );
                    Ty::Error
                }
            }
        });
        self.depth -= 1;
        self.aliases[at] = Alias::Known(ty.clone());
        ty
    }
}
