//! What the rules that match a request make of it together.

/// The line of no rule.
const NONE: u32 = u32::MAX;

/// One of the four effects that Casbin knows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Effect {
    /// Some rule allows, and none denies.
    AllowAndDeny,
    /// Some rule allows.
    AllowOverride,
    /// No rule denies.
    DenyOverride,
    /// The first rule that allows or denies.
    Priority,
}

/// The first rows that allow and deny a request, in the order of the policy.
#[derive(Clone, Copy)]
pub(super) struct Matched {
    pub(super) allow: u32,
    pub(super) deny: u32,
}

impl Default for Matched {
    fn default() -> Self {
        Self { allow: NONE, deny: NONE }
    }
}

/// What one row says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Says {
    Allow,
    Deny,
    /// Neither: the row is there, but counts for nothing.
    Nothing,
}

impl Matched {
    /// Whether this row could change anything.
    pub(super) fn is_open(self, row: u32, says: Says) -> bool {
        match says {
            Says::Allow => row < self.allow,
            Says::Deny => row < self.deny,
            Says::Nothing => false,
        }
    }

    pub(super) fn add(&mut self, row: u32, says: Says) {
        match says {
            Says::Allow => self.allow = self.allow.min(row),
            Says::Deny => self.deny = self.deny.min(row),
            Says::Nothing => {}
        }
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.allow = self.allow.min(other.allow);
        self.deny = self.deny.min(other.deny);
    }
}

impl Effect {
    const ALL: [Self; 4] = [Self::AllowAndDeny, Self::AllowOverride, Self::DenyOverride, Self::Priority];

    pub(super) fn parse(text: &str) -> Option<Self> {
        let bare = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
        Self::ALL.into_iter().find(|effect| bare(effect.text()) == bare(text))
    }

    /// The effect as Casbin writes it.
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::AllowAndDeny => "some(where (p.eft == allow)) && !some(where (p.eft == deny))",
            Self::AllowOverride => "some(where (p.eft == allow))",
            Self::DenyOverride => "!some(where (p.eft == deny))",
            Self::Priority => "priority(p.eft) || deny",
        }
    }

    /// Whether the request is allowed, and the row that decided.
    pub(super) fn decide(self, matched: Matched) -> (bool, Option<u32>) {
        let Matched { allow, deny } = matched;
        let row = |row: u32| (row != NONE).then_some(row);
        match self {
            Self::AllowAndDeny | Self::DenyOverride if deny != NONE => (false, Some(deny)),
            Self::AllowAndDeny | Self::AllowOverride => (allow != NONE, row(allow)),
            Self::DenyOverride => (true, row(allow)),
            Self::Priority => (allow < deny, row(allow.min(deny))),
        }
    }
}
