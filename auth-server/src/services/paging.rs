//! Long lists, a page at a time.

/// How many items a page has unless the caller says otherwise.
const DEFAULT_SIZE: u32 = 50;

/// The most items of a page, whatever the caller says.
const MAX_SIZE: u32 = 200;

/// Which page of a list is wanted.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PageQuery {
    after: Option<String>,
    size: Option<u64>,
}

impl PageQuery {
    /// The page behind `after` (the [`Page::next`] of the page before), of `size` items.
    pub const fn new(after: Option<String>, size: Option<u64>) -> Self {
        Self { after, size }
    }

    /// Where the page starts.
    pub fn after(&self) -> Option<&str> {
        self.after.as_deref()
    }

    /// How many items the page has: what was asked for, within bounds.
    pub fn size(&self) -> u32 {
        let asked = self.size.unwrap_or_else(|| u64::from(DEFAULT_SIZE));
        u32::try_from(asked).unwrap_or(MAX_SIZE).clamp(1, MAX_SIZE)
    }

    /// One more than the page has: whether it comes back tells whether there is a next page.
    pub fn probe(&self) -> u32 {
        self.size().saturating_add(1)
    }
}

/// One page of a list.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Page<T> {
    /// The items, in the order of the list.
    pub items: Vec<T>,
    /// Where the next page starts; `None` on the last page.
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// The page of `query` out of the rows that a probe for it found; `cursor` names an item.
    pub fn of(mut found: Vec<T>, query: &PageQuery, cursor: impl Fn(&T) -> String) -> Self {
        let size = usize::try_from(query.size()).unwrap_or(usize::MAX);
        let more = found.len() > size;
        found.truncate(size);
        let next = found.last().filter(|_| more).map(cursor);
        Self { items: found, next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_of_a_page_is_capped() {
        let size = |asked| PageQuery::new(None, asked).size();
        assert_eq!(size(None), DEFAULT_SIZE);
        assert_eq!(size(Some(0)), 1);
        assert_eq!(size(Some(1_000_000_000)), MAX_SIZE);
        assert_eq!(size(Some(u64::MAX)), MAX_SIZE);
        assert_eq!(size(Some(7)), 7);
    }

    #[test]
    fn only_a_page_with_something_behind_it_has_a_next_one() {
        let query = PageQuery::new(None, Some(2));
        assert_eq!(Page::of(vec![1, 2, 3], &query, i32::to_string).next, Some("2".to_owned()));
        assert_eq!(Page::of(vec![1, 2], &query, i32::to_string).next, None);
        assert_eq!(Page::of(Vec::<i32>::new(), &query, i32::to_string).items, Vec::<i32>::new());
    }
}
