use rstest::rstest;

use super::support::{Backend, Fixture};
use crate::domain::clock::Timestamp;
use crate::domain::ids::{PasskeyId, UserId};
use crate::domain::secret::Entropy;
use crate::storage::passkeys::{self, Passkey};
use crate::storage::users;

fn passkey(user: &UserId, now: Timestamp, seed: u64) -> Passkey {
    Passkey {
        id: PasskeyId::generate(now, &Entropy::seeded(seed)),
        user: user.clone(),
        credential: "{}".to_owned(),
        name: "Telephone".to_owned(),
        signatures: 7,
        created_at: now,
        last_used_at: None,
        backed_up_at: None,
    }
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn a_passkey_belongs_to_one_account_and_its_signatures_are_counted_once(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let (ada, bob) = (fixture.user("ada").await.id, fixture.user("bob").await.id);
    let (digest, other, now) = (fixture.digest(), fixture.digest(), fixture.now());
    fixture
        .write(move |tx| {
            Box::pin(async move {
                let (first, second) = (passkey(&ada, now, 1), passkey(&ada, now, 2));
                assert!(passkeys::insert(tx, &first, &digest).await?);
                assert!(!passkeys::insert(tx, &passkey(&bob, now, 3), &digest).await?, "somebody has it");
                assert!(passkeys::insert(tx, &second, &other).await?);
                assert_eq!(passkeys::count(tx, &ada).await?, 2);
                assert_eq!(passkeys::find_by_digest(tx, &digest).await?.unwrap().user, ada);
                let used = Passkey { signatures: 8, last_used_at: Some(now), ..first.clone() };
                assert!(passkeys::note_use(tx, &used, 7).await?);
                assert!(!passkeys::note_use(tx, &used, 7).await?, "the same number twice");
                assert!(!passkeys::rename(tx, &bob, &first.id, "Mine").await?, "somebody else's");
                assert!(passkeys::rename(tx, &ada, &first.id, "Key ring").await?);
                let listed = passkeys::list(tx, &ada).await?;
                assert!(listed.iter().any(|one| one.name == "Key ring" && one.last_used_at == Some(now)));
                assert!(!passkeys::remove(tx, &bob, &first.id).await?, "somebody else's");
                assert!(passkeys::remove(tx, &ada, &first.id).await?);
                assert!(!passkeys::note_use(tx, &used, 8).await?, "it is gone");
                assert_eq!(passkeys::remove_all(tx, &ada).await?, 1);
                assert!(passkeys::insert(tx, &second, &other).await?);
                users::delete(tx, &ada).await?;
                assert!(passkeys::find_by_digest(tx, &other).await?.is_none(), "it goes with the account");
                Ok(())
            })
        })
        .await;
}
