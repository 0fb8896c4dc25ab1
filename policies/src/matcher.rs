//! The matcher of a model, read into a form in which order and spaces do not count.

use std::collections::BTreeSet;

/// How deep parentheses and calls may nest.
const MAX_DEPTH: u32 = 16;

/// A condition.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Condition {
    /// All of these. Never holds another `All`.
    All(BTreeSet<Condition>),
    /// Any of these. Never holds another `Any`.
    Any(BTreeSet<Condition>),
    Call(String, Vec<Operand>),
    Equal(Operand, Operand),
}

/// What a condition compares.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Operand {
    /// `r.sub`, `p.obj`.
    Field(String),
    /// `"*"`
    Text(String),
}

impl Condition {
    /// Reads a matcher. The error is the byte offset of what this form has no place for.
    pub(crate) fn parse(text: &str) -> Result<Self, usize> {
        let mut reader = Reader { text, at: 0 };
        let condition = reader.any(0)?;
        match reader.token()? {
            Token::End => Ok(condition),
            _ => Err(reader.at),
        }
    }

    fn all(parts: Vec<Self>) -> Self {
        let flat = parts.into_iter().flat_map(|part| match part {
            Self::All(inner) => inner,
            other => BTreeSet::from([other]),
        });
        single(flat.collect()).unwrap_or_else(Self::All)
    }

    fn any(parts: Vec<Self>) -> Self {
        let flat = parts.into_iter().flat_map(|part| match part {
            Self::Any(inner) => inner,
            other => BTreeSet::from([other]),
        });
        single(flat.collect()).unwrap_or_else(Self::Any)
    }

    fn equal(a: Operand, b: Operand) -> Self {
        if a <= b { Self::Equal(a, b) } else { Self::Equal(b, a) }
    }
}

fn single(mut parts: BTreeSet<Condition>) -> Result<Condition, BTreeSet<Condition>> {
    if parts.len() > 1 {
        return Err(parts);
    }
    parts.pop_first().ok_or(parts)
}

#[derive(Debug, Eq, PartialEq)]
enum Token<'a> {
    And,
    Close,
    Comma,
    End,
    Equal,
    Name(&'a str),
    Open,
    Or,
    Text(&'a str),
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn any(&mut self, depth: u32) -> Result<Condition, usize> {
        let mut parts = vec![self.all(depth)?];
        while self.accept(&Token::Or)? {
            parts.push(self.all(depth)?);
        }
        Ok(Condition::any(parts))
    }

    fn all(&mut self, depth: u32) -> Result<Condition, usize> {
        let mut parts = vec![self.one(depth)?];
        while self.accept(&Token::And)? {
            parts.push(self.one(depth)?);
        }
        Ok(Condition::all(parts))
    }

    fn one(&mut self, depth: u32) -> Result<Condition, usize> {
        let start = self.at;
        match self.token()? {
            Token::Open if depth < MAX_DEPTH => {
                let inner = self.any(depth + 1)?;
                self.expect(&Token::Close)?;
                Ok(inner)
            }
            Token::Name(name) if self.accept(&Token::Open)? => self.call(name),
            Token::Name(name) => self.equality(Operand::Field(name.to_owned())),
            Token::Text(text) => self.equality(Operand::Text(text.to_owned())),
            _ => Err(start),
        }
    }

    fn call(&mut self, name: &str) -> Result<Condition, usize> {
        let mut operands = vec![self.operand()?];
        while self.accept(&Token::Comma)? {
            operands.push(self.operand()?);
        }
        self.expect(&Token::Close)?;
        Ok(Condition::Call(name.to_owned(), operands))
    }

    fn equality(&mut self, left: Operand) -> Result<Condition, usize> {
        self.expect(&Token::Equal)?;
        Ok(Condition::equal(left, self.operand()?))
    }

    fn operand(&mut self) -> Result<Operand, usize> {
        let start = self.at;
        match self.token()? {
            Token::Name(name) => Ok(Operand::Field(name.to_owned())),
            Token::Text(text) => Ok(Operand::Text(text.to_owned())),
            _ => Err(start),
        }
    }

    fn accept(&mut self, wanted: &Token<'_>) -> Result<bool, usize> {
        let start = self.at;
        if self.token()? == *wanted {
            return Ok(true);
        }
        self.at = start;
        Ok(false)
    }

    fn expect(&mut self, wanted: &Token<'_>) -> Result<(), usize> {
        let start = self.at;
        if self.accept(wanted)? { Ok(()) } else { Err(start) }
    }

    fn token(&mut self) -> Result<Token<'a>, usize> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let trimmed = rest.trim_start_matches([' ', '\t']);
        self.at += rest.len() - trimmed.len();
        let start = self.at;
        let (token, length) = Self::first(trimmed).ok_or(start)?;
        self.at += length;
        Ok(token)
    }

    fn first(text: &'a str) -> Option<(Token<'a>, usize)> {
        const SIGNS: [(&str, Token<'static>); 6] = [
            ("&&", Token::And),
            ("(", Token::Open),
            (")", Token::Close),
            (",", Token::Comma),
            ("==", Token::Equal),
            ("||", Token::Or),
        ];
        if text.is_empty() {
            return Some((Token::End, 0));
        }
        for (sign, token) in SIGNS {
            if text.starts_with(sign) {
                return Some((token, sign.len()));
            }
        }
        if let Some(rest) = text.strip_prefix('"') {
            let (inner, _) = rest.split_once('"').filter(|(inner, _)| !inner.contains('\\'))?;
            return Some((Token::Text(inner), inner.len() + 2));
        }
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
        let length = text.find(|c| !is_name(c)).unwrap_or(text.len());
        let name = text.get(..length).filter(|name| name.starts_with(|c: char| c.is_ascii_alphabetic()))?;
        Some((Token::Name(name), length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(a: &str, b: &str) -> bool {
        Condition::parse(a).unwrap() == Condition::parse(b).unwrap()
    }

    #[test]
    fn order_spaces_and_needless_parentheses_do_not_count() {
        assert!(same("r.a==p.a && g(r.b,p.b)", "( g(r.b, p.b) )&&(p.a  ==  r.a)"));
        assert!(same(r#"(p.a == "*" || r.a == p.a) && f(r.b)"#, r#"f(r.b) && ((r.a == p.a) || "*" == p.a)"#));
    }

    #[test]
    fn what_means_something_else_is_something_else() {
        assert!(!same("g(r.a, p.a)", "g(p.a, r.a)"), "the arguments of a call are in order");
        assert!(!same(r#"p.a == "*""#, r#"p.a == " *""#), "spaces in a text count");
        assert!(!same("f(r.a) && f(r.b) || f(r.c)", "f(r.a) && (f(r.b) || f(r.c))"), "and binds tighter");
        assert!(!same("f(r.a) && f(r.b)", "f(r.a) || f(r.b)"));
    }

    #[test]
    fn what_is_not_understood_is_an_error_at_its_place() {
        for (text, at) in [
            ("", 0),
            ("r.a", 3),
            ("r.a == p.a &&", 13),
            ("r.a != p.a", 4),
            ("!f(r.a)", 0),
            ("r.a == p.a)", 11),
            ("r.a == 'x'", 7),
            ("r.a > 1", 4),
            (r#"p.a == "*"#, 7),
            (r#"p.a == "\"""#, 7),
            ("f(g(r.a))", 3),
            ("f()", 2),
        ] {
            assert_eq!(Condition::parse(text), Err(at), "{text}");
        }
    }

    #[test]
    fn deep_nesting_is_an_error_and_no_overflow() {
        let text = format!("{}r.a == p.a{}", "(".repeat(100_000), ")".repeat(100_000));
        assert_eq!(Condition::parse(&text), Err(16));
    }
}
