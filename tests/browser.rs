//! A page as Chromium shows it: at a width, in light or dark, with everything it complained of or asked the network for.
//!
//! Spoken to over the DevTools protocol through pipes: no port, no WebSocket, no other program.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value, json};

/// Names under which distributions install it.
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
/// The longest that an answer may take on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(90);

/// A page as the browser shows it.
pub(crate) struct Seen {
    /// Errors and warnings of scripts, styles and the page's own policy, and requests that left the page's file.
    pub(crate) complaints: Vec<String>,
    /// The value of the expression that was asked for.
    pub(crate) value: Value,
}

/// A running browser.
pub(crate) struct Browser {
    process: Child,
    to: ChildStdin,
    from: Receiver<Value>,
    asked: u64,
    /// Events that came before the answer to a question.
    events: Vec<Value>,
    _profile: tempfile::TempDir,
}

/// The path of Chromium, if it is in `PATH`. With `XCEPTION_REQUIRE_BROWSER=1` it must be there.
pub(crate) fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .flat_map(|folder| NAMES.map(|name| folder.join(name)))
        .find(|program| program.is_file());
    if found.is_none() {
        let required =
            std::env::var_os("XCEPTION_REQUIRE_BROWSER").is_some_and(|value| value == "1");
        assert!(!required, "XCEPTION_REQUIRE_BROWSER=1, and none of {NAMES:?} is in PATH");
        eprintln!("skipped: no Chromium");
    }
    found
}

impl Browser {
    /// Starts `program`.
    pub(crate) fn start(program: &Path) -> Self {
        let profile = tempfile::tempdir().expect("a folder for the profile");
        // The browser reads commands from descriptor 3 and answers on 4.
        let mut process = Command::new("sh")
            .args(["-c", "exec \"$@\" 3<&0 4>&1 </dev/null >&2", "sh"])
            .arg(program)
            .args(["--headless", "--remote-debugging-pipe", "--disable-gpu", "--no-first-run"])
            // Containers give it no namespaces for a sandbox, and it opens only pages of our own making.
            .arg("--no-sandbox")
            .args([
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
            ])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the browser starts");
        let to = process.stdin.take().expect("stdin is a pipe");
        let mut answers = BufReader::new(process.stdout.take().expect("stdout is a pipe"));
        let (sender, from) = channel();
        std::thread::spawn(move || {
            let mut message = Vec::new();
            while answers.read_until(0, &mut message).is_ok_and(|length| length > 0) {
                let text = message.strip_suffix(&[0]).unwrap_or(&message);
                let Ok(value) = serde_json::from_slice(text) else { break };
                if sender.send(value).is_err() {
                    break;
                }
                message.clear();
            }
        });
        Self { process, to, from, asked: 0, events: Vec::new(), _profile: profile }
    }

    /// Opens `page` at `width` pixels in `scheme`, `light` or `dark`, and evaluates `expression` in it.
    pub(crate) fn see(&mut self, page: &Path, width: u32, scheme: &str, expression: &str) -> Seen {
        let target = self.ask(None, "Target.createTarget", json!({ "url": "about:blank" }));
        let target = target["targetId"].clone();
        let session =
            self.ask(None, "Target.attachToTarget", json!({ "targetId": target, "flatten": true }));
        let session = session["sessionId"].as_str().expect("a session has a name").to_string();
        let session = Some(session.as_str());
        for domain in ["Page", "Runtime", "Log", "Network"] {
            self.ask(session, &format!("{domain}.enable"), json!({}));
        }
        let metrics =
            json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.ask(session, "Emulation.setDeviceMetricsOverride", metrics);
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.ask(session, "Emulation.setEmulatedMedia", features);
        self.events.clear();
        let url = format!("file://{}", page.canonicalize().expect("the page exists").display());
        self.ask(session, "Page.navigate", json!({ "url": url }));
        while !self.events.iter().any(|event| event["method"] == "Page.loadEventFired") {
            let event = self.receive();
            self.events.push(event);
        }
        let question = json!({ "expression": expression, "returnByValue": true });
        let answer = self.ask(session, "Runtime.evaluate", question);
        assert!(answer["exceptionDetails"].is_null(), "{answer}");
        let complaints = self.events.iter().filter_map(|event| complaint(event, &url)).collect();
        self.ask(None, "Target.closeTarget", json!({ "targetId": target }));
        Seen { complaints, value: answer["result"]["value"].clone() }
    }

    fn ask(&mut self, session: Option<&str>, method: &str, parameters: Value) -> Value {
        self.asked += 1;
        let mut question = json!({ "id": self.asked, "method": method, "params": parameters });
        if let Some(session) = session {
            question["sessionId"] = session.into();
        }
        self.to.write_all(format!("{question}\0").as_bytes()).expect("the browser listens");
        loop {
            let message = self.receive();
            if message["id"] == self.asked {
                assert!(message["error"].is_null(), "{method}: {message}");
                return message["result"].clone();
            }
            self.events.push(message);
        }
    }

    fn receive(&mut self) -> Value {
        self.from.recv_timeout(PATIENCE).expect("the browser answers")
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// The complaint in `event`, which a page at `url` must never cause.
fn complaint(event: &Value, url: &str) -> Option<String> {
    let parameters = &event["params"];
    match event["method"].as_str()? {
        "Runtime.exceptionThrown" => Some(parameters["exceptionDetails"].to_string()),
        "Runtime.consoleAPICalled" => Some(parameters["args"].to_string()),
        "Log.entryAdded" => Some(parameters["entry"]["text"].to_string()),
        "Network.requestWillBeSent" => {
            let asked = parameters["request"]["url"].as_str()?;
            (asked != url && !asked.starts_with("data:")).then(|| format!("request of {asked}"))
        }
        _ => None,
    }
}
