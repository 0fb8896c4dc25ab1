//! Subjects of a request, a few at a time, so that no list of them is ever allocated.

/// How many subjects are looked at in one pass; a request with more roles takes more passes.
const AT_ONCE: usize = 8;

/// A few subjects, each with all that it stands for.
pub(crate) struct Batch<'a> {
    closures: [&'a [u32]; AT_ONCE],
    count: usize,
}

impl<'a> Batch<'a> {
    pub(crate) fn of(first: &'a [u32]) -> Self {
        let mut batch = Self { closures: [&[]; AT_ONCE], count: 0 };
        batch.push(first);
        batch
    }

    pub(crate) fn is_full(&self) -> bool {
        self.count == AT_ONCE
    }

    pub(crate) const fn clear(&mut self) {
        self.count = 0;
    }

    /// Adds a closure, unless no rule names anything in it.
    pub(crate) fn push(&mut self, closure: &'a [u32]) {
        if let Some(slot) = self.closures.get_mut(self.count).filter(|_| !closure.is_empty()) {
            *slot = closure;
            self.count += 1;
        }
    }

    pub(crate) fn closures(&self) -> &[&'a [u32]] {
        self.closures.get(..self.count).unwrap_or_default()
    }
}
