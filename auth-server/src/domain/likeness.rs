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

/// The addresses that somebody may have meant who wrote `wrong`: those that are a slip away, or else those of a host that begins alike.
/// What most addresses have in common makes none of them likely.
pub(crate) fn near_addresses<'a>(known: &[&'a str], wrong: &str) -> Vec<&'a str> {
    const SLIP: usize = 2;
    const LENGTH_OF_A_SLIP: usize = 4;
    let meant = bare(wrong);
    let most = SLIP.min(meant.len() / LENGTH_OF_A_SLIP);
    let is_a_slip = |address: &&&str| strsim::damerau_levenshtein(&bare(address), &meant) <= most;
    let slips: Vec<_> = known.iter().filter(is_a_slip).copied().collect();
    if !slips.is_empty() {
        return slips;
    }
    let word = first_word(&meant);
    let is_host = |address: &&&str| address.contains("://") && first_word(&bare(address)) == word;
    if COMMON.contains(&word) { Vec::new() } else { known.iter().filter(is_host).copied().collect() }
}

/// Hosts begin with these that have nothing else in common.
const COMMON: [&str; 3] = ["", "api", "www"];

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
        let near = |wrong| near_addresses(&known, wrong);
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
        let known =
            ["urn:acme:orders", "urn:acme:stock", "https://api.orders.example", "https://api.stock.example"];
        let near = |wrong| near_addresses(&known, wrong);
        assert_eq!(near("urn:acme:order"), ["urn:acme:orders"], "a slip comes before all that begin alike");
        assert_eq!(near("https://api.stok.example"), ["https://api.stock.example"]);
        for other in ["urn:acme:bills-and-more", "https://api.bills.example", "urn", "https://www.example"] {
            assert!(near(other).is_empty(), "{other}: {:?}", near(other));
        }
    }
}
