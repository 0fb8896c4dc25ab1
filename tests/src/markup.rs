//! Just enough HTML to fill in a form, for pages that this project renders itself.

/// A form of a page.
#[derive(Clone, Debug)]
pub struct Form {
    /// Its `id`.
    pub id: String,
    /// Where it goes.
    pub action: String,
    /// Its fields as the page filled them in; buttons are not among them.
    pub fields: Vec<(String, String)>,
}

impl Form {
    /// The same form with one field set.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.fields.retain(|(found, _)| found != name);
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same form without a field.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.fields.retain(|(found, _)| found != name);
        self
    }

    /// What a field holds.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

/// Every form of a page.
pub fn forms(page: &str) -> Vec<Form> {
    let mut forms = Vec::new();
    let mut rest = page;
    while let Some((tag, after)) = next_tag(rest, "<form") {
        let (inside, behind) = after.split_once("</form>").unwrap_or((after, ""));
        let inputs = tags(inside, "<input");
        let field =
            |input: &&str| Some((attribute(input, "name")?, attribute(input, "value").unwrap_or_default()));
        forms.push(Form {
            id: attribute(tag, "id").unwrap_or_default(),
            action: attribute(tag, "action").unwrap_or_default(),
            fields: inputs.iter().filter_map(field).collect(),
        });
        rest = behind;
    }
    forms
}

/// The text of every tag that starts with `open`, for example `<input`.
pub fn tags<'a>(page: &'a str, open: &str) -> Vec<&'a str> {
    let mut found = Vec::new();
    let mut rest = page;
    while let Some((tag, after)) = next_tag(rest, open) {
        found.push(tag);
        rest = after;
    }
    found
}

fn next_tag<'a>(page: &'a str, open: &str) -> Option<(&'a str, &'a str)> {
    let (_, after) = page.split_once(open)?;
    after.split_once('>')
}

/// The value of an attribute of a tag, unescaped.
pub fn attribute(tag: &str, name: &str) -> Option<String> {
    let mut rest = tag;
    loop {
        let (before, after) = rest.split_once(&format!("{name}=\""))?;
        let (value, behind) = after.split_once('"')?;
        if before.is_empty() || before.ends_with(char::is_whitespace) {
            return Some(unescape(value));
        }
        rest = behind;
    }
}

/// Resolves the character references that the template engine writes.
pub fn unescape(text: &str) -> String {
    let named =
        [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#x27;", "'"), ("&#39;", "'"), ("&#x2f;", "/")];
    let text =
        named.iter().fold(text.to_owned(), |text, (reference, meaning)| text.replace(reference, meaning));
    text.replace("&amp;", "&")
}

/// Where the link with this `id` leads.
pub fn link_of(page: &str, id: &str) -> Option<String> {
    let tag = tags(page, "<a").into_iter().find(|tag| attribute(tag, "id").as_deref() == Some(id))?;
    attribute(tag, "href")
}

/// What a text area with this `id` holds.
pub fn textarea(page: &str, id: &str) -> Option<String> {
    let tag = tags(page, "<textarea").into_iter().find(|tag| attribute(tag, "id").as_deref() == Some(id))?;
    let (_, after) = page.split_once(tag)?;
    let (text, _) = after.strip_prefix('>')?.split_once("</textarea>")?;
    // HTML: a line end right behind the tag is not part of the text.
    Some(unescape(text.strip_prefix('\n').unwrap_or(text)))
}

/// What an element with this `id` contains, as text without tags.
pub fn text_of(page: &str, id: &str) -> Option<String> {
    let (_, after) = page.split_once(&format!("id=\"{id}\""))?;
    let (_, inside) = after.split_once('>')?;
    let (text, _) = inside.split_once("</")?;
    let mut plain = String::new();
    let mut in_tag = false;
    for character in text.chars() {
        match character {
            '<' => in_tag = true,
            '>' => in_tag = false,
            other if !in_tag => plain.push(other),
            _ => {}
        }
    }
    Some(unescape(plain.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = r#"<p id="who">Ada &amp; <b>Co</b></p>
        <form method="post" action="/login" id="login"><input type="hidden" name="csrf_token" value="a&#x2f;b">
        <input data-name="x" name="username" value=""><button name="go" value="1">Go</button></form>
        <form id="other" action="/x"></form>"#;

    #[test]
    fn forms_are_read_with_their_fields_and_without_their_buttons() {
        let forms = forms(PAGE);
        assert_eq!(forms.iter().map(|form| form.id.as_str()).collect::<Vec<_>>(), ["login", "other"]);
        let login = forms.first().unwrap();
        assert_eq!(login.action, "/login");
        assert_eq!(login.value("csrf_token"), Some("a/b"));
        assert_eq!(login.fields.len(), 2);
    }

    #[test]
    fn a_field_is_set_once_and_removed() {
        let form = forms(PAGE).remove(0).with("username", "ada").with("username", "bob");
        assert_eq!(form.value("username"), Some("bob"));
        assert_eq!(form.without("username").value("username"), None);
    }

    #[test]
    fn a_text_area_is_read_without_the_line_end_behind_its_tag() {
        let page = "<textarea id=\"a\">x</textarea><textarea id=\"b\" rows=\"3\">\n&lt;p>\nq</textarea>";
        assert_eq!(textarea(page, "b").as_deref(), Some("<p>\nq"));
        assert_eq!(textarea(page, "c"), None);
    }

    #[test]
    fn the_text_of_an_element_has_no_tags() {
        assert_eq!(text_of(PAGE, "who").as_deref(), Some("Ada & Co"));
        assert_eq!(text_of(PAGE, "nobody"), None);
    }
}
