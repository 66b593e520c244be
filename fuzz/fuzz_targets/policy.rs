//! Policies: read, compiled, and asked. The first line is the path that is asked for, the second the parameters, the
//! rest the policy.
#![no_main]

use std::sync::Arc;

use keyfold_core::clock::Time;
use keyfold_core::policy::{Acl, JsonParams, NoParams, Operation, Policy};
use libfuzzer_sys::fuzz_target;

const OPERATIONS: [Operation; 7] = [
    Operation::Create,
    Operation::Read,
    Operation::Update,
    Operation::Delete,
    Operation::List,
    Operation::Patch,
    Operation::Scan,
];

fuzz_target!(|input: &str| {
    let (path, rest) = input.split_once('\n').unwrap_or((input, ""));
    let (params, text) = rest.split_once('\n').unwrap_or((rest, ""));
    let Ok((policy, _)) = Policy::parse("fuzzed", text) else {
        return;
    };
    let policy = Arc::new(policy);
    let once = Acl::new(&[Arc::clone(&policy)], Time(0));
    let twice = Acl::new(&[Arc::clone(&policy), policy], Time(0));
    assert!(!once.is_root());
    assert_eq!(
        once.capabilities(path),
        twice.capabilities(path),
        "a policy adds nothing to itself"
    );
    let _ = once.reaches_below(path);
    for operation in OPERATIONS {
        let bare = once.check(path, operation, &NoParams).is_ok();
        assert_eq!(bare, twice.check(path, operation, &NoParams).is_ok());
        let _ = once.check(path, operation, &JsonParams(params.as_bytes()));
    }
});
