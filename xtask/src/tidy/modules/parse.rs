//! Reads a Rust source for its modules, imports and paths; the rest of the language is skipped.

use std::collections::BTreeSet;

use crate::tidy::lexer::{lex, line_of};
use crate::tidy::tokens::{
    Token, closing, file_attributes, follows, is_test_attribute, is_word, item_end, tokens,
};

/// A module as one file writes it: the file itself, or a `mod name { … }` inside it.
#[derive(Debug, Default)]
pub(super) struct Scope {
    /// The name of an inline module; empty for the file itself.
    pub(super) name: String,
    /// The scope around an inline module.
    pub(super) parent: Option<usize>,
    /// The modules that lie in files of their own, `mod name;`.
    pub(super) files: Vec<String>,
    pub(super) imports: Vec<Import>,
    /// Paths outside `use`.
    pub(super) paths: Vec<Path>,
    /// Items that are defined here.
    pub(super) items: BTreeSet<String>,
    /// Code that hides imports from here: its line, and a message.
    pub(super) hidden: Vec<(usize, &'static str)>,
}

const OTHER_FILE: &str = "names a file whose imports this check would not find: declare a module in the file of its name";
const OTHER_NAME: &str =
    "gives this crate another name, under which this check would not know it: write `crate`";

/// One name that a `use` brings into scope.
#[derive(Debug)]
pub(super) struct Import {
    /// `None` for a glob.
    pub(super) name: Option<String>,
    pub(super) path: Path,
}

#[derive(Debug)]
pub(super) struct Path {
    pub(super) segments: Vec<String>,
    /// Counted from 1.
    pub(super) line: usize,
}

/// The scopes of `source`, the file itself first. Items under `#[cfg(test)]` are left out.
pub(super) fn parse(source: &str) -> Vec<Scope> {
    let code = lex(source).code;
    let tokens = tokens(&code);
    let (at, is_test_file) = file_attributes(&tokens);
    let mut parser = Parser { code: &code, tokens: &tokens, at, scopes: vec![Scope::default()] };
    if !is_test_file {
        parser.scope(0);
    }
    for scope in &mut parser.scopes {
        let globs = scope.imports.iter().any(|import| import.name.is_none());
        scope.paths.retain(|path| globs || path.segments.len() > 1);
    }
    parser.scopes
}

struct Parser<'a> {
    code: &'a str,
    tokens: &'a [Token<'a>],
    at: usize,
    scopes: Vec<Scope>,
}

impl<'a> Parser<'a> {
    fn peek(&self, ahead: usize) -> &'a str {
        self.tokens.get(self.at + ahead).map_or("", |token| token.text)
    }

    fn next_is(&self, expected: &[&str]) -> bool {
        follows(self.tokens, self.at, expected)
    }

    fn line(&self) -> usize {
        self.tokens.get(self.at).map_or(0, |token| line_of(self.code, token.at))
    }

    /// Reads up to the brace that closes the scope, or to the end of the file.
    fn scope(&mut self, scope: usize) {
        let mut depth = 0;
        while self.at < self.tokens.len() {
            match self.peek(0) {
                "{" => depth += 1,
                "}" if depth == 0 => break,
                "}" => depth -= 1,
                "#" if is_test_attribute(self.tokens, self.at) => {
                    self.at = item_end(self.tokens, self.at);
                    continue;
                }
                "#" => self.attribute(scope),
                "extern" if self.next_is(&["extern", "crate", "self"]) => {
                    self.hides(scope, OTHER_NAME);
                }
                "use" if self.peek(1) != "<" => {
                    self.at += 1;
                    self.use_tree(scope, Vec::new());
                    continue;
                }
                "mod" if self.peek(2) == ";" => {
                    let name = self.peek(1).to_owned();
                    self.scopes[scope].files.push(name);
                    self.at += 2;
                }
                "mod" if self.peek(2) == "{" => {
                    let name = self.peek(1).to_owned();
                    self.at += 3;
                    self.scopes.push(Scope { name, parent: Some(scope), ..Scope::default() });
                    self.scope(self.scopes.len() - 1);
                }
                "pub" if self.next_is(&["pub", "(", "in"]) => {
                    // A visibility restricts, it does not import.
                    while !["", ")"].contains(&self.peek(0)) {
                        self.at += 1;
                    }
                }
                keyword if depth == 0 && defines(keyword) => {
                    let name = if self.peek(1) == "!" { self.peek(2) } else { self.peek(1) };
                    self.scopes[scope].items.insert(name.to_owned());
                }
                text if is_word(text) => {
                    self.path(scope);
                    continue;
                }
                _ => {}
            }
            self.at += 1;
        }
    }

    /// Notes an attribute that names the file of a module: `#[path = …]`, `#[cfg_attr(…, path = …)]`.
    fn attribute(&mut self, scope: usize) {
        let end = closing(self.tokens, self.at + 1);
        let conditional = self.peek(2) == "cfg_attr";
        let names_a_file = |at: usize| {
            follows(self.tokens, at, &["[", "path", "="])
                || (conditional && follows(self.tokens, at, &[",", "path", "="]))
        };
        if self.peek(1) == "[" && (self.at + 1..end).any(names_a_file) {
            self.hides(scope, OTHER_FILE);
        }
    }

    fn hides(&mut self, scope: usize, message: &'static str) {
        let line = self.line();
        self.scopes[scope].hidden.push((line, message));
    }

    /// Reads one tree of a `use` whose outer part is `prefix`, up to `,`, `}` or `;`.
    fn use_tree(&mut self, scope: usize, prefix: Vec<String>) {
        let line = self.line();
        let mut segments = prefix;
        if segments.is_empty() && self.peek(0) == "::" {
            // `::name` is another crate.
            segments.push("::".to_owned());
        }
        loop {
            match self.peek(0) {
                "::" => {}
                "*" => {
                    let path = Path { segments: segments.clone(), line };
                    self.scopes[scope].imports.push(Import { name: None, path });
                }
                "{" => {
                    while !["", "}", ";"].contains(&self.peek(0)) {
                        self.at += 1;
                        self.use_tree(scope, segments.clone());
                    }
                    self.at += 1;
                    return;
                }
                word if is_word(word) => {
                    // `self` as the last of a path is the module before it.
                    if word != "self" || segments.is_empty() {
                        segments.push(word.to_owned());
                    }
                    if self.peek(1) != "::" {
                        let renamed = (self.peek(1) == "as").then(|| self.peek(2).to_owned());
                        self.at += if renamed.is_some() { 3 } else { 1 };
                        let name = renamed.or_else(|| segments.last().cloned());
                        if segments.last().is_some_and(|last| last == "include") {
                            self.hides(scope, OTHER_FILE);
                        }
                        let path = Path { segments, line };
                        self.scopes[scope].imports.push(Import { name, path });
                        return;
                    }
                }
                _ => return,
            }
            self.at += 1;
        }
    }

    /// Reads `a::b::c`, or a single word that may be an item which a glob has imported.
    fn path(&mut self, scope: usize) {
        let line = self.line();
        let before = self.at.checked_sub(1).map_or("", |at| self.tokens[at].text);
        let mut segments = vec![self.peek(0).to_owned()];
        while self.peek(1) == "::" && is_word(self.peek(2)) {
            self.at += 2;
            segments.push(self.peek(0).to_owned());
        }
        if segments.last().is_some_and(|last| last == "include") && self.peek(1) == "!" {
            self.hides(scope, OTHER_FILE);
        }
        self.at += 1;
        let names_an_item = segments.len() > 1
            || segments[0].starts_with(char::is_uppercase)
            || ["(", "!"].contains(&self.peek(0));
        if !["::", ".", "fn"].contains(&before) && names_an_item {
            self.scopes[scope].paths.push(Path { segments, line });
        }
    }
}

/// Whether a keyword is followed by the name of an item.
fn defines(keyword: &str) -> bool {
    matches!(
        keyword,
        "fn" | "struct" | "enum" | "union" | "trait" | "type" | "const" | "static" | "macro_rules"
    )
}
