//! A browser with a screen: Chromium, driven through the chromedriver that `tests/run` started.

use std::path::PathBuf;
use std::time::Duration;

use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tempfile::TempDir;
use url::{ParseError, Url};

use crate::database::required;

/// How a page is looked at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Look {
    /// A desktop whose owner likes dark colours.
    Dark,
    /// A desktop.
    Light,
    /// The narrowest screen that a page must fit (WCAG 2.2, 1.4.10).
    Narrow,
}

impl Look {
    /// Every look there is.
    pub const ALL: [Self; 3] = [Self::Dark, Self::Light, Self::Narrow];

    const fn name(self) -> &'static str {
        match self {
            Self::Dark => "dark",
            Self::Light => "light",
            Self::Narrow => "320px",
        }
    }
}

/// A browser with an empty profile.
pub struct Browser {
    client: Client,
    _profile: TempDir,
}

/// How long something may take to appear.
const PATIENCE: Duration = Duration::from_secs(20);

impl Browser {
    /// Starts a browser.
    ///
    /// # Panics
    ///
    /// When chromedriver is not there: a test that cannot run is a failure.
    pub async fn start() -> Self {
        Self::start_with(Some("--hide-scrollbars")).await
    }

    /// Starts one whose scroll bars take room beside the page, as on many desktops, on a screen of 1200 by 800 pixels.
    ///
    /// # Panics
    ///
    /// When chromedriver is not there.
    pub async fn start_with_scroll_bars() -> Self {
        let browser = Self::start_with(None).await;
        browser.resize((1200, 800)).await;
        browser
    }

    /// Starts one that takes every certificate for good: those of tests are vouched for by nobody.
    ///
    /// # Panics
    ///
    /// When chromedriver is not there.
    pub async fn start_without_trust() -> Self {
        Self::start_with(Some("--ignore-certificate-errors")).await
    }

    async fn start_with(argument: Option<&str>) -> Self {
        let profile = tempfile::tempdir().expect("a temporary folder can be made");
        let data = format!("--user-data-dir={}", profile.path().display());
        let mut arguments = vec![
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            data.as_str(),
        ];
        arguments.extend(argument);
        let capabilities = json!({
            "goog:chromeOptions": { "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL" },
        });
        let Value::Object(capabilities) = capabilities else { unreachable!("an object was written above") };
        let driver = required("PORTCULLIS_TEST_CHROMEDRIVER");
        let client =
            ClientBuilder::new(HttpConnector::new()).capabilities(capabilities).connect(&driver).await;
        Self { client: client.expect("chromedriver starts a browser"), _profile: profile }
    }

    /// The session with chromedriver.
    pub(crate) const fn client(&self) -> &Client {
        &self.client
    }

    /// Opens an address.
    ///
    /// # Panics
    ///
    /// When the browser does not get there.
    pub async fn open(&self, url: &str) {
        self.client.goto(url).await.expect("the page opens");
    }

    /// Changes how pages are looked at.
    pub async fn look(&self, look: Look) {
        self.resize(if look == Look::Narrow { (320, 640) } else { (1280, 800) }).await;
        let scheme = if look == Look::Dark { "dark" } else { "light" };
        // Nothing moves, so that a picture shows the state in which everything comes to rest.
        let media = json!({ "features": [
            { "name": "prefers-color-scheme", "value": scheme },
            { "name": "prefers-reduced-motion", "value": "reduce" },
        ] });
        self.devtools("Emulation.setEmulatedMedia", media).await;
    }

    /// Gives the window a size in pixels.
    pub async fn resize(&self, (width, height): (u32, u32)) {
        let screen = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", screen).await;
    }

    /// Switches JavaScript off for the pages to come.
    pub async fn disable_scripts(&self) {
        self.devtools("Emulation.setScriptExecutionDisabled", json!({ "value": true })).await;
    }

    /// Plugs in a device that keeps passkeys, whose owner unlocks it whenever it is asked. Gives its name.
    ///
    /// # Panics
    ///
    /// When chromedriver has none.
    pub async fn add_authenticator(&self) -> String {
        let device = json!({
            "protocol": "ctap2", "transport": "internal", "hasResidentKey": true, "hasUserVerification": true,
            "isUserVerified": true, "isUserConsenting": true,
        });
        let call = Call { path: "webauthn/authenticator", body: device };
        let name = self.client.issue_cmd(call).await.expect("chromedriver has such a device");
        name.as_str().expect("a device has a name").to_owned()
    }

    /// Whether somebody is there who unlocks a device at once; else it waits.
    pub async fn attend(&self, device: &str, is_there: bool) {
        let presence = json!({ "authenticatorId": device, "enabled": is_there });
        self.devtools("WebAuthn.setAutomaticPresenceSimulation", presence).await;
    }

    /// How many passkeys a device keeps.
    pub async fn passkeys_of(&self, device: &str) -> usize {
        let kept = self.devtools("WebAuthn.getCredentials", json!({ "authenticatorId": device })).await;
        kept.get("credentials").and_then(Value::as_array).map_or(0, Vec::len)
    }

    async fn devtools(&self, command: &'static str, parameters: Value) -> Value {
        let call = Call { path: "goog/cdp/execute", body: json!({ "cmd": command, "params": parameters }) };
        self.client.issue_cmd(call).await.unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    /// Types into a field; what it held is replaced.
    ///
    /// # Panics
    ///
    /// When there is no such field.
    pub async fn fill(&self, id: &str, text: &str) {
        let field = self.wait_for(id).await;
        field.clear().await.unwrap_or_else(|error| panic!("{id}: {error}"));
        field.send_keys(text).await.unwrap_or_else(|error| panic!("{id}: {error}"));
    }

    /// Clicks.
    ///
    /// # Panics
    ///
    /// When there is nothing to click.
    pub async fn click(&self, id: &str) {
        self.wait_for(id).await.click().await.unwrap_or_else(|error| panic!("{id}: {error}"));
    }

    /// Follows the link whose text contains this.
    ///
    /// # Panics
    ///
    /// When there is no such link.
    pub async fn click_link(&self, text: &str) {
        let path = format!("//a[contains(., '{text}')]");
        let link = self.client.find(Locator::XPath(&path)).await;
        let link = link.unwrap_or_else(|error| panic!("no link {text}: {error}"));
        link.click().await.unwrap_or_else(|error| panic!("{text}: {error}"));
    }

    /// Waits until an element is there.
    ///
    /// # Panics
    ///
    /// When it never appears: the panic shows the page.
    pub async fn wait_for(&self, id: &str) -> fantoccini::elements::Element {
        let found = self.client.wait().at_most(PATIENCE).for_element(Locator::Id(id)).await;
        match found {
            Ok(element) => element,
            Err(error) => panic!("no `{id}` at {} ({error}):\n{}", self.url().await, self.source().await),
        }
    }

    /// Whether the page has an element.
    pub async fn has(&self, id: &str) -> bool {
        self.client.find(Locator::Id(id)).await.is_ok()
    }

    /// The text of an element.
    pub async fn text(&self, id: &str) -> String {
        self.wait_for(id).await.text().await.unwrap_or_default()
    }

    /// What a field holds.
    pub async fn value(&self, id: &str) -> String {
        self.wait_for(id).await.prop("value").await.ok().flatten().unwrap_or_default()
    }

    /// An attribute of an element; empty when it has none.
    pub async fn attribute(&self, id: &str, name: &str) -> String {
        self.wait_for(id).await.attr(name).await.ok().flatten().unwrap_or_default()
    }

    /// The id of the element that has the focus.
    pub async fn focused(&self) -> String {
        self.script("return document.activeElement.id").await.as_str().unwrap_or_default().to_owned()
    }

    /// The address of the page.
    ///
    /// # Panics
    ///
    /// When the browser is gone.
    pub async fn url(&self) -> Url {
        self.client.current_url().await.expect("the browser knows where it is")
    }

    /// The page as it is now.
    pub async fn source(&self) -> String {
        self.client.source().await.unwrap_or_default()
    }

    /// Runs a script of the test in the page.
    ///
    /// # Panics
    ///
    /// When it throws.
    pub async fn script(&self, script: &str) -> Value {
        self.client.execute(script, Vec::new()).await.unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    /// By how many pixels the page is wider than the screen.
    pub async fn overflow(&self) -> i64 {
        let root = "document.documentElement";
        let measure = format!("return {root}.scrollWidth - {root}.clientWidth");
        self.script(&measure).await.as_i64().unwrap_or(i64::MAX)
    }

    /// What the browser complained about since the last time: violated policies, failed scripts, missing files. What its own pages
    /// (`chrome://`) complain about is not of ours: no page of a server can load anything from there.
    ///
    /// # Panics
    ///
    /// When chromedriver does not hand out its log.
    pub async fn complaints(&self) -> Vec<String> {
        let call = Call { path: "se/log", body: json!({ "type": "browser" }) };
        let log = self.client.issue_cmd(call).await.expect("chromedriver keeps a log");
        let entries = log.as_array().cloned().unwrap_or_default();
        let loud = entries.iter().filter(|entry| entry.get("level").is_none_or(|level| level != "DEBUG"));
        let told = loud.filter_map(|entry| entry.get("message")?.as_str());
        told.filter(|message| !message.starts_with("chrome://")).map(str::to_owned).collect()
    }

    /// Saves a picture of the page where `tests/run` collects them.
    ///
    /// # Panics
    ///
    /// When the picture cannot be taken or saved.
    pub async fn shoot(&self, page: &str, look: Look) {
        let picture = self.client.screenshot().await.expect("a picture can be taken");
        let folder =
            std::env::var("PORTCULLIS_TEST_SCREENSHOTS").map_or_else(|_| std::env::temp_dir(), PathBuf::from);
        let file = folder.join(format!("{page}-{}.png", look.name()));
        std::fs::write(&file, picture).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }

    /// Ends the browser.
    pub async fn close(self) {
        // The test is over; a browser that is already gone is gone.
        _ = self.client.close().await;
    }
}

/// A command of chromedriver that the standard of its protocol does not have.
#[derive(Debug)]
struct Call {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Call {
    fn endpoint(&self, base_url: &Url, session_id: Option<&str>) -> Result<Url, ParseError> {
        base_url.join(&format!("session/{}/{}", session_id.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(self.body.to_string()))
    }
}
