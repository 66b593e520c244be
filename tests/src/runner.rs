//! Tells a story to a server.

use std::fmt;
use std::fs;
use std::os::unix::fs::symlink;
use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};

use crate::pattern::{find, mismatch};
use crate::scope::Scope;
use crate::server::{Binary, Launch, TestServer};
use crate::story::{Action, Ask, Setup, Step, Story};
use crate::wire::{Request, Response};

/// Where a story went another way.
#[derive(Debug)]
pub struct Failure {
    /// For example `step 3 (encrypt): PUT /v1/transit/encrypt/k`; empty before the first step.
    pub place: String,
    /// What was expected and what came.
    pub reason: String,
    /// The end of the server's log.
    pub log: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{}", self.place)?;
        writeln!(out, "  {}", self.reason)?;
        write!(out, "  server log:\n{}", self.log)
    }
}

impl std::error::Error for Failure {}

/// Starts a server as the story wants it and tells it the story.
pub fn tell(story: &Story, binary: &Binary) -> Result<(), Failure> {
    let early = |reason: String| Failure {
        place: "start".to_owned(),
        reason,
        log: String::new(),
    };
    let mut launch = Launch::new(binary.clone());
    if !binary.foreign {
        launch.storage = story.server.storage;
    }
    launch.config.clone_from(&story.server.config);
    launch.listener.clone_from(&story.server.listener);
    let mut server = launch.start().map_err(|error| early(error.to_string()))?;
    let mut scope = Scope::default();
    scope.set("dir", server.dir().display().to_string());
    scope.set("address", server.address().to_string());
    if story.server.ready {
        let ready = server
            .init(1, 1)
            .and_then(|keys| server.unseal(&keys).map(|()| keys));
        let keys = ready.map_err(|error| Failure {
            log: server.log(),
            ..early(error.to_string())
        })?;
        scope.set("root", keys.root_token);
        scope.set("key", keys.shares.first().cloned().unwrap_or_default());
        let made = set_up(&story.setup, &server, &mut scope);
        made.map_err(|reason| Failure {
            log: server.log(),
            ..early(reason)
        })?;
    }
    for (number, step) in story.steps.iter().enumerate() {
        let done = match step {
            Step::Do(action) => act(action, &mut server, &scope),
            Step::Ask(ask) => self::ask(ask, &server, &mut scope, binary.foreign),
        };
        done.map_err(|reason| Failure {
            place: place(number + 1, step),
            reason,
            log: server.log(),
        })?;
    }
    Ok(())
}

fn set_up(setup: &Setup, server: &TestServer, scope: &mut Scope) -> Result<(), String> {
    let root = scope.text("root").unwrap_or_default();
    let put = |target: String, body: Value| {
        let headers = vec![("X-Vault-Token".to_owned(), root.clone())];
        let body = Some(body.to_string().into_bytes());
        let request = Request {
            method: "PUT".to_owned(),
            target,
            headers,
            body,
        };
        let answer = server.send(&request).map_err(|error| error.to_string())?;
        if matches!(answer.status, 200 | 204) {
            return Ok(answer);
        }
        Err(format!(
            "PUT {} answered {}: {}",
            request.target,
            answer.status,
            answer.text()
        ))
    };
    for (path, kind) in &setup.mounts {
        put(format!("/v1/sys/mounts/{path}"), json!({ "type": kind }))?;
    }
    for (name, text) in &setup.policies {
        put(
            format!("/v1/sys/policies/acl/{name}"),
            json!({ "policy": text }),
        )?;
    }
    for (name, body) in &setup.tokens {
        let answer = put("/v1/auth/token/create".to_owned(), body.clone())?.json();
        for (name, path) in [
            (name.clone(), "$.auth.client_token"),
            (format!("{name}_accessor"), "$.auth.accessor"),
        ] {
            let value = find(&answer, path).ok_or_else(|| format!("no {path} in a new token"))?;
            scope.set(name, value.clone());
        }
    }
    Ok(())
}

fn place(number: usize, step: &Step) -> String {
    match step {
        Step::Do(action) => format!("step {number}: {action:?}"),
        Step::Ask(ask) => {
            let id = ask
                .id
                .as_deref()
                .map(|id| format!(" ({id})"))
                .unwrap_or_default();
            format!("step {number}{id}: {} {}", ask.method, ask.path)
        }
    }
}

fn act(action: &Action, server: &mut TestServer, scope: &Scope) -> Result<(), String> {
    match action {
        Action::Restart => server.restart().map_err(|error| error.to_string()),
        Action::Crash => server.crash().map_err(|error| error.to_string()),
        Action::Hup => server.signal("HUP").map_err(|error| error.to_string()),
        Action::Wait { seconds } => {
            sleep(Duration::from_secs_f64(*seconds));
            Ok(())
        }
        Action::Link { path, target } => {
            let (path, target) = (scope.fill(path)?, scope.fill(target)?);
            let _was_there = fs::remove_file(&path);
            symlink(target, path).map_err(|error| error.to_string())
        }
        Action::File {
            path,
            contains,
            lacks,
        } => look(&scope.fill(path)?, contains, lacks, scope),
    }
}

fn look(path: &str, contains: &[String], lacks: &[String], scope: &Scope) -> Result<(), String> {
    let bytes = fs::read(path).map_err(|error| format!("{path}: {error}"))?;
    let text = String::from_utf8_lossy(&bytes);
    for wanted in contains {
        let wanted = scope.fill(wanted)?;
        if !text.contains(&wanted) {
            return Err(format!("{path} does not contain {wanted:?}"));
        }
    }
    for unwanted in lacks {
        let unwanted = scope.fill(unwanted)?;
        if text.contains(&unwanted) {
            return Err(format!("{path} contains {unwanted:?}"));
        }
    }
    Ok(())
}

fn ask(ask: &Ask, server: &TestServer, scope: &mut Scope, foreign: bool) -> Result<(), String> {
    let request = request(ask, scope)?;
    let answer = server
        .send(&request)
        .map_err(|error| format!("no answer: {error}"))?;
    if let Some(status) = ask.peer_status.filter(|_| foreign) {
        return check_status(status, &answer);
    }
    check(ask, &answer, scope)?;
    let body = answer.json();
    for (name, path) in &ask.capture {
        let value =
            find(&body, path).ok_or_else(|| format!("nothing to capture at {path} in {body}"))?;
        scope.set(name, value.clone());
    }
    Ok(())
}

fn request(ask: &Ask, scope: &Scope) -> Result<Request, String> {
    let mut headers = Vec::new();
    if ask.token != "none" {
        let token = scope
            .text(&ask.token)
            .ok_or_else(|| format!("no token called {}", ask.token))?;
        headers.push(("X-Vault-Token".to_owned(), token));
    }
    for (name, value) in &ask.headers {
        headers.push((name.clone(), scope.fill(value)?));
    }
    let body = match (&ask.raw_body, &ask.body) {
        (Some(text), _) => Some(scope.fill(text)?.into_bytes()),
        (None, Some(value)) => Some(scope.fill_json(value)?.to_string().into_bytes()),
        (None, None) => None,
    };
    let typed = headers
        .iter()
        .any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    if body.is_some() && !typed {
        headers.push(("Content-Type".to_owned(), "application/json".to_owned()));
    }
    Ok(Request {
        method: ask.method.clone(),
        target: scope.fill(&ask.path)?,
        headers,
        body,
    })
}

fn check(ask: &Ask, answer: &Response, scope: &Scope) -> Result<(), String> {
    check_status(ask.status, answer)?;
    if ask.status == 204 && !answer.body.is_empty() {
        return Err(format!("expected no body with 204, got {}", answer.text()));
    }
    let body = answer.json();
    if let Some(expected) = &ask.expect
        && let Some(difference) = mismatch(&scope.fill_json(expected)?, &body)
    {
        return Err(format!("{difference}\n  whole body: {}", answer.text()));
    }
    if let Some(text) = &ask.expect_text {
        let text = scope.fill(text)?;
        if !answer.text().contains(&text) {
            return Err(format!(
                "expected the body to hold {text:?}, got {}",
                answer.text()
            ));
        }
    }
    for (name, value) in &ask.expect_headers {
        let (expected, got) = (Value::String(scope.fill(value)?), answer.header(name));
        let got = got.map_or(Value::Null, Value::from);
        if let Some(difference) = mismatch(&expected, &got) {
            return Err(format!("header {name} {difference}"));
        }
    }
    if let Some(path) = ask.absent.iter().find(|path| find(&body, path).is_some()) {
        return Err(format!("expected nothing at {path}, got {body}"));
    }
    for (path, value) in &ask.differs {
        let value = scope.fill_json(value)?;
        if find(&body, path).is_none_or(|got| *got == value) {
            return Err(format!(
                "at {path}: expected anything but {value}, got {body}"
            ));
        }
    }
    Ok(())
}

fn check_status(expected: u16, answer: &Response) -> Result<(), String> {
    if answer.status == expected {
        return Ok(());
    }
    Err(format!(
        "expected status {expected}, got {}: {}",
        answer.status,
        answer.text()
    ))
}
