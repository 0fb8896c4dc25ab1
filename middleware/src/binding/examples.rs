//! The proofs that RFC 9449 shows, and what they are good for.

use std::time::Duration;

use http::Request;
use http::request::Parts;

use super::proof::Proof;
use super::rules::Rules;
use super::{BindingFault, Dpop, ProofVerifier};
use crate::jwks::Algorithm;
use crate::token::{NumericDate, TokenFault};

/// §4.1: of a request for a token.
const OF_CLIENT: &str = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklD\
    UkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2\
    R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHB\
    zOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8ig\
    iMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg";

/// §7.1: of a request with a token.
const OF_CALLER: &str = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklD\
    UkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2\
    R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM\
    6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8\
    ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1ple\
    mAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA";

/// §7.1
const TOKEN: &str = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU";
const ATH: &str = "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo";

/// §6.1: the thumbprint of the key of both.
const JKT: &str = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";

const LEEWAY: Duration = Duration::from_secs(10);

fn request(method: &str, url: &str, proof: &str) -> Parts {
    Request::builder().method(method).uri(url).header("dpop", proof).body(()).unwrap().into_parts().0
}

fn rules(origin: &str) -> Rules {
    Dpop::new().origin(origin).rules(LEEWAY).unwrap()
}

/// What is wrong with the proof of a caller, for a request, beside a token that is bound to a key, at a time.
fn fault(parts: &Parts, (token, key): (&str, &str), now: u64) -> Option<BindingFault> {
    let outcome = rules("https://resource.example.org").check(parts, (Some(token), Some(key)), now);
    outcome.err()
}

#[test]
fn both_are_read_as_the_rfc_says() {
    let client = Proof::verify(OF_CLIENT, None, &Algorithm::ALL).ok().unwrap();
    assert_eq!((client.thumbprint.as_str(), client.claims.jti.as_str()), (JKT, "-BwC3ESc6acc2lTc"));
    assert_eq!(
        (client.claims.htm.as_str(), client.claims.htu.as_str()),
        ("POST", "https://server.example.com/token")
    );
    assert_eq!((client.claims.iat, client.claims.ath), (NumericDate(1_562_262_616), None));
    let caller = Proof::verify(OF_CALLER, Some(JKT), &Algorithm::ALL).ok().unwrap();
    assert_eq!((caller.thumbprint.as_str(), caller.claims.jti.as_str()), (JKT, "e1j3V_bKic8-LAEB"));
    let resource = "https://resource.example.org/protectedresource";
    assert_eq!((caller.claims.htm.as_str(), caller.claims.htu.as_str()), ("GET", resource));
    assert_eq!((caller.claims.iat, caller.claims.ath.as_deref()), (NumericDate(1_562_262_618), Some(ATH)));
}

#[test]
fn a_proof_with_another_signature_or_by_another_algorithm_is_none() {
    for proof in [OF_CLIENT, OF_CALLER] {
        let (signed, signature) = proof.rsplit_once('.').unwrap();
        let turned = if signature.starts_with('A') { "B" } else { "A" };
        let other = if proof == OF_CLIENT { OF_CALLER } else { OF_CLIENT };
        for signature in
            [format!("{turned}{}", &signature[1..]), other.rsplit_once('.').unwrap().1.to_owned()]
        {
            assert!(Proof::verify(&format!("{signed}.{signature}"), None, &Algorithm::ALL).is_err());
        }
        assert!(Proof::verify(proof, None, &[Algorithm::EdDsa, Algorithm::Rs256]).is_err());
    }
}

#[test]
fn the_proof_of_the_caller_is_good_for_its_request_its_token_its_key_and_its_time() {
    let (url, made) = ("/protectedresource", 1_562_262_618);
    let good = request("GET", url, OF_CALLER);
    assert!(fault(&good, (TOKEN, JKT), made).is_none());
    assert!(fault(&request("GET", "/protectedresource?x=1", OF_CALLER), (TOKEN, JKT), made).is_none());
    for (parts, token, now, expected) in [
        (request("POST", url, OF_CALLER), TOKEN, made, "it is for another method"),
        (request("GET", "/protectedresource/", OF_CALLER), TOKEN, made, "it is for another URL"),
        (request("GET", "/other", OF_CALLER), TOKEN, made, "it is for another URL"),
        (good.clone(), "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxV", made, "it is for another token"),
        (good.clone(), TOKEN, made + 71, "it was not made just now"),
        (good.clone(), TOKEN, made - 11, "it was not made just now"),
        (request("POST", "/token", OF_CLIENT), TOKEN, made, "it is for another URL"),
    ] {
        let fault = fault(&parts, (token, JKT), now);
        assert!(
            matches!(fault, Some(BindingFault::Proof(what)) if what == expected),
            "{expected}: {fault:?}"
        );
    }
    let stranger = fault(&good, (TOKEN, ATH), made);
    assert!(matches!(stranger, Some(BindingFault::Token(TokenFault::SenderConstrained))), "{stranger:?}");
    let elsewhere = rules("https://resource.example.com").check(&good, (Some(TOKEN), Some(JKT)), made);
    assert!(matches!(elsewhere.err(), Some(BindingFault::Proof("it is for another URL"))));
    // §4.3: beside a token, a proof has to be one for it.
    let client = rules("https://server.example.com").check(
        &request("POST", "/token", OF_CLIENT),
        (Some(TOKEN), Some(JKT)),
        1_562_262_616,
    );
    assert!(matches!(client.err(), Some(BindingFault::Proof("it is for another token"))));
}

#[test]
fn the_proof_of_the_client_is_good_where_tokens_are_issued() {
    let proofs = ProofVerifier::new(&Dpop::new().origin("https://server.example.com"), LEEWAY).unwrap();
    let proof = proofs.verify(&request("POST", "/token", OF_CLIENT), None, 1_562_262_616).unwrap().unwrap();
    assert_eq!((proof.thumbprint(), proof.jti()), (JKT, "-BwC3ESc6acc2lTc"));
    assert!(proofs.verify(&request("POST", "/token", OF_CALLER), None, 1_562_262_616).is_err());
}
