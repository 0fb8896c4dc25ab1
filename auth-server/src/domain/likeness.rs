//! What somebody meant who mistyped a name.

/// The candidate whose text is written most like `wrong`, if it is enough like it.
pub(crate) fn nearest<T>(candidates: impl Iterator<Item = (String, T)>, wrong: &str) -> Option<T> {
    const CLOSE_ENOUGH: f64 = 0.6;
    candidates
        .map(|(text, candidate)| (strsim::normalized_damerau_levenshtein(&text, wrong), candidate))
        .filter(|(likeness, _)| *likeness >= CLOSE_ENOUGH)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

/// The addresses that somebody may have meant who wrote `wrong`: a slip away, or of a host that begins alike. What most addresses have in
/// common makes none of them likely.
pub(crate) fn near_addresses<'a>(known: impl Iterator<Item = &'a str>, wrong: &str) -> Vec<&'a str> {
    const SLIP: usize = 2;
    const LENGTH_OF_A_SLIP: usize = 4;
    let wrong = bare(wrong);
    let is_near = |address: &&str| {
        let address = bare(address);
        let slips = strsim::damerau_levenshtein(&address, &wrong);
        slips <= SLIP.min(wrong.len() / LENGTH_OF_A_SLIP) || first_word(&address) == first_word(&wrong)
    };
    known.filter(is_near).collect()
}

fn first_word(bare: &str) -> &str {
    bare.split(['.', ':', '/']).next().unwrap_or_default()
}

/// An address without what is the same in most of them.
fn bare(address: &str) -> String {
    let behind = address.split_once("://").map_or(address, |(_, behind)| behind);
    behind.trim_end_matches('/').to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_another_word_is_not() {
        let names = || ["editor", "viewer"].into_iter().map(|name| (name.to_owned(), name));
        assert_eq!(nearest(names(), "veiwer"), Some("viewer"));
        assert_eq!(nearest(names(), "editr"), Some("editor"));
        assert_eq!(nearest(names(), "accountant"), None);
        assert_eq!(nearest(names(), ""), None);
    }

    #[test]
    fn an_address_is_near_by_a_slip_or_a_word_and_not_by_what_all_have() {
        let known = ["https://orders.example", "https://stock.example", "https://id.example/api"];
        let near = |wrong| near_addresses(known.into_iter(), wrong);
        for slip in [
            "https://orders.exmaple",
            "https://order.example",
            "http://orders.example/",
            "https://Orders.example",
            "https://orders.test",
            "orders",
        ] {
            assert_eq!(near(slip), ["https://orders.example"], "{slip}");
        }
        for other in
            ["https://bills.example", "https://example", "https://", "", "api", "shop", "https://a.test/api"]
        {
            assert!(near(other).is_empty(), "{other}: {:?}", near(other));
        }
    }
}
