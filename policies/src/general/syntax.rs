//! A matcher as text, read into a tree.

/// How deep parentheses may nest, and how many conditions and operands a matcher may have.
const MAX_DEPTH: u32 = 16;
const MAX_NODES: u32 = 256;

/// A condition as it is written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Expr {
    All(Vec<Expr>),
    Any(Vec<Expr>),
    Bool(bool),
    Call(Call),
    Equal(Term, Term),
    In(Term, Vec<Term>),
    Not(Box<Expr>),
}

/// A function and what it is given.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Call {
    pub(super) name: String,
    pub(super) arguments: Vec<Term>,
    pub(super) at: usize,
}

/// What a condition looks at.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Term {
    pub(super) what: Named,
    pub(super) at: usize,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Named {
    /// A field of the request: `r.sub`.
    Request(String),
    /// A field of the rule: `p.sub`.
    Row(String),
    /// A constant.
    Text(String),
}

/// What has no place in a matcher that this crate compiles.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Unknown {
    pub(super) at: usize,
    pub(super) what: String,
}

impl Expr {
    pub(super) fn parse(text: &str) -> Result<Self, Unknown> {
        let mut reader = Reader { text, at: 0, nodes: 0 };
        let expr = reader.any(0)?;
        let at = reader.at;
        match reader.token()? {
            Token::End => Ok(expr),
            _ => Err(reader.unknown(at)),
        }
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Token<'a> {
    And,
    Bang,
    Close,
    CloseList,
    Comma,
    End,
    Equal,
    Name(&'a str),
    NotEqual,
    Open,
    OpenList,
    Or,
    Text(&'a str),
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    nodes: u32,
}

impl<'a> Reader<'a> {
    fn any(&mut self, depth: u32) -> Result<Expr, Unknown> {
        let mut parts = vec![self.all(depth)?];
        while self.accept(Token::Or)? {
            parts.push(self.all(depth)?);
        }
        Ok(joined(parts, Expr::Any))
    }

    fn all(&mut self, depth: u32) -> Result<Expr, Unknown> {
        let mut parts = vec![self.one(depth)?];
        while self.accept(Token::And)? {
            parts.push(self.one(depth)?);
        }
        Ok(joined(parts, Expr::All))
    }

    fn one(&mut self, depth: u32) -> Result<Expr, Unknown> {
        self.count()?;
        let start = self.at;
        if depth >= MAX_DEPTH {
            return Err(self.unknown(start));
        }
        match self.token()? {
            Token::Open => {
                let inner = self.any(depth + 1)?;
                self.expect(Token::Close)?;
                Ok(inner)
            }
            Token::Bang => self.negated(depth + 1),
            Token::Name("true") => Ok(Expr::Bool(true)),
            Token::Name("false") => Ok(Expr::Bool(false)),
            Token::Name(name) if self.accept(Token::Open)? => self.call(name, start),
            _ => {
                self.at = start;
                self.comparison()
            }
        }
    }

    /// `!` binds tighter than `==`, so what it turns round is a call, a constant or in parentheses.
    fn negated(&mut self, depth: u32) -> Result<Expr, Unknown> {
        let start = self.at;
        let inner = self.one(depth)?;
        let is_open = self.text.get(start..).is_some_and(|rest| rest.trim_start().starts_with(['(', '!']));
        match inner {
            Expr::Equal(..) | Expr::In(..) | Expr::Not(_) if !is_open => Err(self.unknown(start)),
            inner => Ok(Expr::Not(Box::new(inner))),
        }
    }

    fn call(&mut self, name: &str, at: usize) -> Result<Expr, Unknown> {
        let mut arguments = vec![self.term()?];
        while self.accept(Token::Comma)? {
            arguments.push(self.term()?);
        }
        self.expect(Token::Close)?;
        let at = self.skip_spaces(at);
        Ok(Expr::Call(Call { name: name.to_owned(), arguments, at }))
    }

    fn comparison(&mut self) -> Result<Expr, Unknown> {
        let left = self.term()?;
        let at = self.at;
        match self.token()? {
            Token::Equal => Ok(Expr::Equal(left, self.term()?)),
            Token::NotEqual => Ok(Expr::Not(Box::new(Expr::Equal(left, self.term()?)))),
            Token::Name("in") => self.list().map(|list| Expr::In(left, list)),
            _ => Err(self.unknown(at)),
        }
    }

    fn list(&mut self) -> Result<Vec<Term>, Unknown> {
        let at = self.at;
        let close = match self.token()? {
            Token::Open => Token::Close,
            Token::OpenList => Token::CloseList,
            _ => return Err(self.unknown(at)),
        };
        let mut list = vec![self.term()?];
        while self.accept(Token::Comma)? {
            list.push(self.term()?);
        }
        self.expect(close)?;
        match list.iter().find(|term| !matches!(term.what, Named::Text(_))) {
            Some(term) => Err(self.unknown(term.at)),
            None => Ok(list),
        }
    }

    fn term(&mut self) -> Result<Term, Unknown> {
        self.count()?;
        let at = self.skip_spaces(self.at);
        let what = match self.token()? {
            Token::Text(text) => Named::Text(text.to_owned()),
            Token::Name(name) => match name.split_once('.') {
                Some(("r", field)) if !field.contains('.') => Named::Request(field.to_owned()),
                Some(("p", field)) if !field.contains('.') => Named::Row(field.to_owned()),
                _ => return Err(self.unknown(at)),
            },
            _ => return Err(self.unknown(at)),
        };
        Ok(Term { what, at })
    }

    fn count(&mut self) -> Result<(), Unknown> {
        self.nodes += 1;
        if self.nodes <= MAX_NODES { Ok(()) } else { Err(self.unknown(self.at)) }
    }

    fn unknown(&self, at: usize) -> Unknown {
        let at = self.skip_spaces(at);
        let rest = self.text.get(at..).unwrap_or_default();
        let what =
            if rest.is_empty() { "nothing at the end".to_owned() } else { crate::report::quoted(rest) };
        Unknown { at, what }
    }

    fn skip_spaces(&self, at: usize) -> usize {
        let rest = self.text.get(at..).unwrap_or_default();
        at + (rest.len() - rest.trim_start_matches([' ', '\t']).len())
    }

    fn accept(&mut self, wanted: Token<'_>) -> Result<bool, Unknown> {
        let start = self.at;
        if self.token()? == wanted {
            return Ok(true);
        }
        self.at = start;
        Ok(false)
    }

    fn expect(&mut self, wanted: Token<'_>) -> Result<(), Unknown> {
        let start = self.at;
        if self.accept(wanted)? { Ok(()) } else { Err(self.unknown(start)) }
    }

    fn token(&mut self) -> Result<Token<'a>, Unknown> {
        let start = self.skip_spaces(self.at);
        let rest = self.text.get(start..).unwrap_or_default();
        let (token, length) = first(rest).ok_or_else(|| self.unknown(start))?;
        self.at = start + length;
        Ok(token)
    }
}

fn first(text: &str) -> Option<(Token<'_>, usize)> {
    const SIGNS: [(&str, Token<'static>); 10] = [
        ("!=", Token::NotEqual),
        ("!", Token::Bang),
        ("&&", Token::And),
        ("(", Token::Open),
        (")", Token::Close),
        (",", Token::Comma),
        ("==", Token::Equal),
        ("[", Token::OpenList),
        ("]", Token::CloseList),
        ("||", Token::Or),
    ];
    if text.is_empty() {
        return Some((Token::End, 0));
    }
    if let Some((sign, token)) = SIGNS.into_iter().find(|(sign, _)| text.starts_with(sign)) {
        return Some((token, sign.len()));
    }
    for quote in ['"', '\''] {
        if let Some(rest) = text.strip_prefix(quote) {
            let (inner, _) = rest.split_once(quote).filter(|(inner, _)| !inner.contains('\\'))?;
            return Some((Token::Text(inner), inner.len() + 2));
        }
    }
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    let length = text.find(|c| !is_name(c)).unwrap_or(text.len());
    let name = text.get(..length).filter(|name| name.starts_with(|c: char| c.is_ascii_alphabetic()))?;
    Some((Token::Name(name), length))
}

fn joined(mut parts: Vec<Expr>, join: fn(Vec<Expr>) -> Expr) -> Expr {
    match parts.pop() {
        Some(only) if parts.is_empty() => only,
        last => {
            parts.extend(last);
            join(parts)
        }
    }
}
