//! Steps in any order, by anybody, at any time: nothing goes by one hand or too early.

use proptest::prelude::*;

use super::*;

/// What may happen to a key.
#[derive(Debug, Clone, Copy)]
enum Event {
    Create,
    Shred(u64),
    Approve,
    Cancel,
    Destroy,
    Wait(u64),
    Restart,
}

fn event() -> impl Strategy<Value = (Event, usize)> {
    let event = prop_oneof![
        Just(Event::Create),
        (3600u64..10_000).prop_map(Event::Shred),
        Just(Event::Approve),
        Just(Event::Approve),
        Just(Event::Cancel),
        Just(Event::Destroy),
        Just(Event::Destroy),
        (0u64..9_000).prop_map(Event::Wait),
        Just(Event::Restart),
    ];
    (event, 0usize..3)
}

/// What the key should be.
#[derive(Debug, Default)]
struct Model {
    /// Versions that were ever made.
    made: u64,
    there: bool,
    /// Who asked, when it may go, who agreed.
    asked: Option<(usize, u64, bool)>,
    receipts: usize,
}

impl Model {
    /// Whether the event is taken.
    fn take(&mut self, event: Event, who: usize, now: u64) -> bool {
        match event {
            Event::Create => {
                self.made += u64::from(!self.there);
                self.there = true;
                true
            }
            Event::Shred(delay) => {
                let free = self.there && self.asked.is_none();
                if free {
                    self.asked = Some((who, now + delay, false));
                }
                free
            }
            Event::Approve => match &mut self.asked {
                Some((asker, _, agreed)) if *asker != who && !*agreed => {
                    *agreed = true;
                    true
                }
                _ => false,
            },
            Event::Cancel => self.asked.take().is_some(),
            Event::Destroy => {
                let ripe = matches!(self.asked, Some((_, until, true)) if now >= until);
                if ripe {
                    (self.there, self.asked) = (false, None);
                    self.receipts += 1;
                }
                ripe
            }
            Event::Wait(_) | Event::Restart => true,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn nothing_goes_by_one_hand_or_too_early(events in proptest::collection::vec(event(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (mut mount, mut model, mut after) = (Mount::new().await, Model::default(), 0);
            for (event, who) in events {
                let name = ["ann", "ben", "cy"][who];
                let (path, body) = match event {
                    Event::Create => ("keys/k", json!({})),
                    Event::Shred(delay) => ("keys/k/shred", json!({"reason": "r", "delay": delay})),
                    Event::Approve => ("keys/k/shred/approve", json!({})),
                    Event::Cancel => ("keys/k/shred/cancel", json!({})),
                    Event::Destroy => ("keys/k/shred/destroy", json!({})),
                    Event::Wait(secs) => {
                        after += secs;
                        continue;
                    }
                    Event::Restart => {
                        mount = mount.restarted();
                        continue;
                    }
                };
                let taken = mount.step(name, after, path, body).await.is_ok();
                assert_eq!(taken, model.take(event, who, after), "{event:?} by {name} at {after}");
                let stored = mount.transit.stored("k").await.unwrap();
                assert_eq!(stored.is_some(), model.there);
                if let Some((settings, _)) = stored {
                    assert_eq!(u64::from(settings.latest_version), model.made);
                }
                let receipts = mount.transit.view.list("receipts/", "", 0).await.unwrap();
                assert_eq!(receipts.names.len(), model.receipts);
            }
        });
    }
}
