//! What a token costs that is held in memory: fills the cache of an open vault.
//!
//! `cargo run -p keyfold-backends --example token_memory`

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use keyfold_backends::storage::Memory;
use keyfold_core::audit::AuditConfig;
use keyfold_core::clock::{Clock, SystemClock};
use keyfold_core::lifecycle::{Core, CoreConfig, SealConfig, Settings};
use keyfold_core::lockout::LockoutRules;
use keyfold_core::mounts::Kinds;
use keyfold_core::ports::fetch::Offline;
use keyfold_core::tokens::NewToken;

/// As many as the cache holds.
const TOKENS: u64 = 100_000;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let clock = Arc::new(SystemClock);
    let core = Core::open(CoreConfig {
        storage: Arc::new(Memory::new()),
        clock: clock.clone(),
        kinds: Kinds {
            fetch: &Offline,
            engines: &[keyfold_backends::engines::kv::KIND],
            auths: &[],
        },
        audit: AuditConfig::default(),
        managed: Vec::new(),
        initialize: Vec::new(),
        seals: SealConfig::default(),
        settings: Settings {
            default_lease_ttl: Duration::from_secs(3600),
            max_lease_ttl: Duration::from_secs(3600),
            api_addr: String::new(),
            version: "0",
            cluster_name: None,
            raw_storage: false,
            lockout: LockoutRules::default(),
        },
    })
    .await?;
    core.develop(None, 2).await?;
    let vault = core.unsealed()?;
    let mut texts = Vec::new();
    for n in 0..TOKENS {
        // As a login at an auth method makes them.
        let name = format!("person-{n}");
        let new = NewToken {
            policies: vec!["default".to_owned(), "people".to_owned()],
            path: format!("auth/people/login/{name}"),
            display_name: format!("people-{name}"),
            meta: Some(BTreeMap::from([("username".to_owned(), name.clone())])),
            ttl: 3600,
            renewable: true,
            entity: Some(keyfold_core::id::uuid()),
            internal: BTreeMap::from([("username".to_owned(), name)]),
            ..NewToken::default()
        };
        texts.push(vault.tokens.create(new).await?.1);
    }
    let before = resident()?;
    for text in &texts {
        let found = vault.tokens.find(text.expose(), clock.now()).await?;
        found.ok_or("a token is not found")?;
    }
    let each = resident()?.saturating_sub(before) / TOKENS;
    writeln!(std::io::stdout(), "{each} bytes a token")?;
    Ok(())
}

/// Bytes of this process in memory.
fn resident() -> Result<u64, Box<dyn Error>> {
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    let pages: u64 = statm.split(' ').nth(1).ok_or("no such field")?.parse()?;
    Ok(pages * 4096)
}
