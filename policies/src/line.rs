//! Lines of text with fields between commas: how rules and cases are written.

use crate::report::{Finding, Place, PolicyFile};

const MAX_FIELD_BYTES: usize = 512;

/// One line, and where it stands.
#[derive(Clone, Copy)]
pub(crate) struct Line<'a> {
    pub(crate) file: PolicyFile,
    pub(crate) number: u32,
    pub(crate) text: &'a str,
}

/// A field without the spaces around it, and its byte offset in the line.
#[derive(Clone, Copy)]
pub(crate) struct Field<'a> {
    pub(crate) text: &'a str,
    pub(crate) offset: usize,
}

/// Every line of a text. A line may end as it does on Windows.
pub(crate) fn lines<'a>(file: PolicyFile, text: &'a str) -> impl Iterator<Item = Line<'a>> {
    let line = move |(number, text): (u32, &'a str)| Line {
        file,
        number,
        text: text.strip_suffix('\r').unwrap_or(text),
    };
    (1..).zip(text.split('\n')).map(line)
}

impl<'a> Line<'a> {
    /// The fields of the line, each in a form that means one thing. `None` for a blank line or a comment.
    pub(crate) fn read(self) -> Result<Option<Vec<Field<'a>>>, Finding> {
        self.refuse_line_breaks()?;
        if self.is_blank() {
            return Ok(None);
        }
        self.refuse_comment()?;
        let fields = self.fields();
        for field in &fields {
            self.check_field(*field)?;
        }
        Ok(Some(fields))
    }

    pub(crate) fn is_blank(self) -> bool {
        let text = self.text.trim();
        text.is_empty() || text.starts_with('#')
    }

    pub(crate) fn place(self, offset: usize) -> Place {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let column = u32::try_from(before.chars().count()).map_or(u32::MAX, |count| count.saturating_add(1));
        Place { file: self.file, line: self.number, column }
    }

    pub(crate) fn error(self, at: Field<'_>, code: &'static str, message: impl Into<String>) -> Finding {
        Finding::error(self.place(at.offset), code, message)
    }

    /// A character that some reader takes for the end of the line would start a rule there.
    fn refuse_line_breaks(self) -> Result<(), Finding> {
        let broken = |c: char| (c.is_control() && c != '\t') || matches!(c, '\u{2028}' | '\u{2029}');
        let Some((offset, c)) = self.text.char_indices().find(|(_, c)| broken(*c)) else { return Ok(()) };
        let message = format!("the control character U+{:04X} has no place in a rule", u32::from(c));
        Err(Finding::error(self.place(offset), "control-character", message))
    }

    /// Casbin takes `read # why` for the name of an action.
    fn refuse_comment(self) -> Result<(), Finding> {
        let Some(offset) = self.text.find('#') else { return Ok(()) };
        let rule = self.text.get(..offset).unwrap_or_default().trim();
        let message = "a comment stands on a line of its own; here it would become part of the rule";
        Err(Finding::error(self.place(offset), "inline-comment", message).with_fix(Some(rule)))
    }

    fn fields(self) -> Vec<Field<'a>> {
        let mut offset = 0;
        let mut fields = Vec::with_capacity(6);
        for raw in self.text.split(',') {
            let text = raw.trim();
            fields.push(Field { text, offset: offset + (raw.len() - raw.trim_start().len()) });
            offset += raw.len() + 1;
        }
        fields
    }

    fn check_field(self, field: Field<'_>) -> Result<(), Finding> {
        if field.text.is_empty() {
            return Err(self.error(field, "empty-field", "a field is empty; `*` stands for every value"));
        }
        if field.text.len() > MAX_FIELD_BYTES {
            let message = format!("a field has at most {MAX_FIELD_BYTES} bytes");
            return Err(self.error(field, "field-too-long", message));
        }
        if field.text.contains('"') {
            let fix = Some(field.text.replace('"', ""));
            return Err(self.error(field, "quote", "fields are written without quotes").with_fix(fix));
        }
        let Some(c) = field.text.chars().find(|c| is_invisible(*c)) else { return Ok(()) };
        let message = format!("the field contains U+{:04X}, which cannot be seen", u32::from(c));
        Err(self.error(field, "invisible-character", message))
    }
}

/// Whether a reader of the rule would not see this character, or see others in another order.
fn is_invisible(c: char) -> bool {
    (c.is_whitespace() && c != ' ')
        || matches!(c, '\u{ad}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}
