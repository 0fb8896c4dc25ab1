//! Building what people see, and what signs them in.

use std::sync::Arc;

use crate::app::ground::Ground;
use crate::http::extract::form::FormGuard;
use crate::http::render::{Pages, PagesError};
use crate::http::state::{ByLetter, Front};
use crate::services::account::AccountService;
use crate::services::account::limits::ChangeLimits;
use crate::services::addresses::{AddressParts, AddressService};
use crate::services::assignments::AssignmentService;
use crate::services::known_device::DeviceProof;
use crate::services::leaving::{LeavingParts, LeavingService};
use crate::services::letter_limits::LetterLimits;
use crate::services::login::{LetterWay, LoginParts, LoginService};
use crate::services::login_limits::LoginLimits;
use crate::services::own_data::{OwnDataParts, OwnDataService};
use crate::services::owners::Owners;
use crate::services::passkeys::own::{PasskeyParts, PasskeyService};
use crate::services::passkeys::party::RelyingParty;
use crate::services::password::HashError;
use crate::services::recovery::{RecoveryParts, RecoveryService};
use crate::services::second_step::StepKeys;
use crate::services::second_step::enrol::{SecondStepService, StepParts};
use crate::services::sign_up::limits::SignUpLimits;
use crate::services::sign_up::{SignUpParts, SignUpService};

/// Why the front cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum FrontError {
    /// The password workers did not start, or their parameters are none.
    #[error("passwords cannot be hashed: {0}")]
    Passwords(#[from] HashError),
    /// A template or a text that was built in cannot be read.
    #[error("the pages cannot be shown: {0}")]
    Pages(#[from] PagesError),
}

/// Who holds which role, and who owns the server.
type Rights<'a> = (AssignmentService, &'a Owners);

/// Builds the front. Its keys are derived from the master key: every replica accepts the cookies of every other.
pub(super) fn open(ground: &Ground, rights: Rights<'_>) -> Result<Front, FrontError> {
    let Ground { config, clock, entropy, sealer, store, hasher, .. } = ground;
    let issuer = config.issuer();
    let limits = LetterLimits::new(&config.limits, clock, entropy);
    let parts = LoginParts {
        hasher: hasher.clone(),
        limits: LoginLimits::new(&config.limits, clock.clone(), entropy),
        devices: DeviceProof::new(&sealer.derive("known devices")),
        entropy: entropy.clone(),
        notices: ground.notices.clone(),
        mail: ground.mail.clone(),
        steps: StepKeys::new(sealer.clone()),
        passkeys: RelyingParty::new(&issuer, sealer),
        letters: LetterWay::new(config.reach.accounts.sign_in_by_mail, limits.clone(), sealer),
    };
    let account = AccountService::new(
        store.clone(),
        config.sessions.clone(),
        ground.notices.clone(),
        ChangeLimits::new(clock, entropy),
    );
    let steps = StepParts {
        keys: parts.steps.clone(),
        sealer: sealer.clone(),
        entropy: entropy.clone(),
        account: account.clone(),
        mail: ground.mail.clone(),
        issuer: issuer.host().to_owned(),
    };
    let passkeys = PasskeyParts {
        party: parts.passkeys.clone(),
        account: account.clone(),
        mail: ground.mail.clone(),
        entropy: entropy.clone(),
    };
    let login = LoginService::new(store.clone(), config.sessions.clone(), parts);
    let addresses = AddressParts {
        login: login.clone(),
        limits: limits.clone(),
        entropy: entropy.clone(),
        notices: ground.notices.clone(),
        mail: ground.mail.clone(),
    };
    Ok(Front {
        pages: Pages::open(&issuer)?,
        forms: FormGuard::new(&sealer.derive("form tokens"), &issuer, entropy.clone()),
        data: own_data(ground, &account),
        leaving: leaving(ground, rights.1),
        account,
        passkeys: PasskeyService::new(store.clone(), passkeys),
        steps: SecondStepService::new(store.clone(), steps),
        by_letter: Arc::new(ByLetter {
            recovery: recovery(ground, limits.clone()),
            addresses: AddressService::new(store.clone(), addresses),
            sign_up: sign_up(ground, limits, (&login, rights.0)),
        }),
        login,
    })
}

/// What is kept about people, for them.
fn own_data(ground: &Ground, account: &AccountService) -> OwnDataService {
    let parts = OwnDataParts {
        account: account.clone(),
        issuer: ground.config.issuer(),
        limits: ChangeLimits::rare(&ground.clock, &ground.entropy),
    };
    OwnDataService::new(ground.store.clone(), parts)
}

/// Accounts whose owners want them deleted.
fn leaving(ground: &Ground, owners: &Owners) -> LeavingService {
    let Ground { config, clock, entropy, mail, notices, store, .. } = ground;
    let parts = LeavingParts {
        settings: config.reach.accounts.clone(),
        owners: owners.clone(),
        notices: notices.clone(),
        mail: mail.clone(),
        limits: ChangeLimits::rare(clock, entropy),
    };
    LeavingService::new(store.clone(), parts)
}

/// New passwords by letter.
fn recovery(ground: &Ground, limits: LetterLimits) -> RecoveryService {
    let Ground { entropy, hasher, mail, notices, store, .. } = ground.clone();
    RecoveryService::new(store, RecoveryParts { hasher, limits, entropy, notices, mail })
}

/// Accounts by letter. It counts the letters with the others.
fn sign_up(
    ground: &Ground,
    letters: LetterLimits,
    (login, assignments): (&LoginService, AssignmentService),
) -> SignUpService {
    let Ground { config, clock, entropy, hasher, mail, store, .. } = ground.clone();
    let parts = SignUpParts {
        hasher,
        limits: SignUpLimits::new(letters, &clock, &entropy),
        entropy,
        mail,
        login: login.clone(),
        assignments,
    };
    SignUpService::new(store, config.reach.accounts.sign_up, parts)
}
