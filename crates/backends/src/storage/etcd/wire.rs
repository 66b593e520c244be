//! The messages of etcd's protocol (version 3, as of etcd 3.4) that are used here. Tags are the
//! protocol's; what is not used has none.

use prost::{Message, Oneof};

/// A request and what answers it.
pub(super) trait Call: Message + Clone + 'static {
    type Answer: Message + Default + 'static;
    /// Service and method.
    const PATH: &'static str;

    fn header(answer: &Self::Answer) -> Option<&Header>;
}

macro_rules! calls {
    ($($request:ty => $answer:ty, $path:literal;)*) => {$(
        impl Call for $request {
            type Answer = $answer;
            const PATH: &'static str = $path;

            fn header(answer: &$answer) -> Option<&Header> {
                answer.header.as_ref()
            }
        }
    )*};
}

calls! {
    Range => Ranged, "/etcdserverpb.KV/Range";
    Txn => Done, "/etcdserverpb.KV/Txn";
    Grant => Granted, "/etcdserverpb.Lease/LeaseGrant";
    Revoke => Revoked, "/etcdserverpb.Lease/LeaseRevoke";
    Status => Condition, "/etcdserverpb.Maintenance/Status";
}

/// Calls that are made while a link is set up, or that stream.
pub(super) const AUTHENTICATE: &str = "/etcdserverpb.Auth/Authenticate";
pub(super) const KEEP_ALIVE: &str = "/etcdserverpb.Lease/LeaseKeepAlive";
pub(super) const WATCH: &str = "/etcdserverpb.Watch/Watch";

/// What every answer begins with.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Header {
    #[prost(uint64, tag = "1")]
    pub cluster_id: u64,
    /// The store's newest revision when it answered.
    #[prost(int64, tag = "3")]
    pub revision: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct KeyValue {
    #[prost(bytes = "vec", tag = "1")]
    pub key: Vec<u8>,
    #[prost(int64, tag = "2")]
    pub create_revision: i64,
    #[prost(int64, tag = "3")]
    pub mod_revision: i64,
    #[prost(bytes = "vec", tag = "5")]
    pub value: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Range {
    #[prost(bytes = "vec", tag = "1")]
    pub key: Vec<u8>,
    /// Empty for one key.
    #[prost(bytes = "vec", tag = "2")]
    pub range_end: Vec<u8>,
    #[prost(int64, tag = "3")]
    pub limit: i64,
    /// Zero for the newest.
    #[prost(int64, tag = "4")]
    pub revision: i64,
    #[prost(bool, tag = "8")]
    pub keys_only: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Ranged {
    #[prost(message, optional, tag = "1")]
    pub header: Option<Header>,
    #[prost(message, repeated, tag = "2")]
    pub kvs: Vec<KeyValue>,
    #[prost(bool, tag = "3")]
    pub more: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Put {
    #[prost(bytes = "vec", tag = "1")]
    pub key: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub value: Vec<u8>,
    #[prost(int64, tag = "3")]
    pub lease: i64,
    /// Keeps what stands there, which has to be something.
    #[prost(bool, tag = "5")]
    pub ignore_value: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct DeleteRange {
    #[prost(bytes = "vec", tag = "1")]
    pub key: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub range_end: Vec<u8>,
}

/// Answers to puts and deletions, of which nothing is read.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Written {}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Op {
    #[prost(oneof = "Request", tags = "1, 2, 3, 4")]
    pub request: Option<Request>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum Request {
    #[prost(message, tag = "1")]
    Range(Range),
    #[prost(message, tag = "2")]
    Put(Put),
    #[prost(message, tag = "3")]
    DeleteRange(DeleteRange),
    #[prost(message, tag = "4")]
    Txn(Txn),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct OpAnswer {
    #[prost(oneof = "Answer", tags = "1, 2, 3, 4")]
    pub response: Option<Answer>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum Answer {
    #[prost(message, tag = "1")]
    Range(Ranged),
    #[prost(message, tag = "2")]
    Put(Written),
    #[prost(message, tag = "3")]
    DeleteRange(Written),
    #[prost(message, tag = "4")]
    Txn(Done),
}

/// What a comparison looks at; zero for both revisions of a key that is absent.
pub(super) const CREATED: i32 = 1;
pub(super) const MODIFIED: i32 = 2;
pub(super) const VALUE: i32 = 3;

/// How it compares.
const EQUAL: i32 = 0;
const GREATER: i32 = 1;

/// That something of a key, or of all keys of a range, is just this, or greater.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Compare {
    #[prost(int32, tag = "1")]
    pub result: i32,
    #[prost(int32, tag = "2")]
    pub target: i32,
    #[prost(bytes = "vec", tag = "3")]
    pub key: Vec<u8>,
    #[prost(oneof = "Wanted", tags = "5, 6, 7")]
    pub wanted: Option<Wanted>,
    #[prost(bytes = "vec", tag = "64")]
    pub range_end: Vec<u8>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum Wanted {
    #[prost(int64, tag = "5")]
    Created(i64),
    #[prost(int64, tag = "6")]
    Modified(i64),
    #[prost(bytes = "vec", tag = "7")]
    Value(Vec<u8>),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Txn {
    #[prost(message, repeated, tag = "1")]
    pub compare: Vec<Compare>,
    #[prost(message, repeated, tag = "2")]
    pub success: Vec<Op>,
    #[prost(message, repeated, tag = "3")]
    pub failure: Vec<Op>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Done {
    #[prost(message, optional, tag = "1")]
    pub header: Option<Header>,
    #[prost(bool, tag = "2")]
    pub succeeded: bool,
    #[prost(message, repeated, tag = "3")]
    pub responses: Vec<OpAnswer>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Grant {
    #[prost(int64, tag = "1")]
    pub ttl: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Granted {
    #[prost(message, optional, tag = "1")]
    pub header: Option<Header>,
    #[prost(int64, tag = "2")]
    pub id: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Revoke {
    #[prost(int64, tag = "1")]
    pub id: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Revoked {
    #[prost(message, optional, tag = "1")]
    pub header: Option<Header>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct KeepAlive {
    #[prost(int64, tag = "1")]
    pub id: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct KeptAlive {
    #[prost(message, optional, tag = "1")]
    pub header: Option<Header>,
    /// Zero or less where the lease is over.
    #[prost(int64, tag = "3")]
    pub ttl: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Status {}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Condition {
    #[prost(message, optional, tag = "1")]
    pub header: Option<Header>,
    #[prost(string, tag = "2")]
    pub version: String,
    /// Alarms.
    #[prost(string, repeated, tag = "8")]
    pub errors: Vec<String>,
}

/// Has a password: it can't be printed.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub(super) struct Authenticate {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub password: String,
}

/// Has a token: it can't be printed.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub(super) struct Authenticated {
    #[prost(string, tag = "2")]
    pub token: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Watch {
    #[prost(message, optional, tag = "1")]
    pub create: Option<WatchCreate>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct WatchCreate {
    #[prost(bytes = "vec", tag = "1")]
    pub key: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub range_end: Vec<u8>,
    #[prost(int64, tag = "3")]
    pub start_revision: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Watched {
    #[prost(message, optional, tag = "1")]
    pub header: Option<Header>,
    #[prost(bool, tag = "4")]
    pub canceled: bool,
    /// Not zero: everything before it is gone, and so is where the watch was to begin.
    #[prost(int64, tag = "5")]
    pub compact_revision: i64,
    #[prost(string, tag = "6")]
    pub cancel_reason: String,
    #[prost(message, repeated, tag = "11")]
    pub events: Vec<Event>,
}

/// Kinds of events: what is not a deletion is a put.
pub(super) const DELETED: i32 = 1;

#[derive(Clone, PartialEq, Message)]
pub(super) struct Event {
    #[prost(int32, tag = "1")]
    pub kind: i32,
    #[prost(message, optional, tag = "2")]
    pub kv: Option<KeyValue>,
}

impl Op {
    pub fn range(range: Range) -> Self {
        Request::Range(range).into()
    }

    pub fn put(key: Vec<u8>, value: Vec<u8>) -> Self {
        Self::put_under(0, key, value)
    }

    /// A put that goes with a lease.
    pub fn put_under(lease: i64, key: Vec<u8>, value: Vec<u8>) -> Self {
        let put = Put {
            key,
            value,
            lease,
            ignore_value: false,
        };
        Request::Put(put).into()
    }

    /// What stands at a key, which has to be something, stays without a lease.
    pub fn keep(key: Vec<u8>) -> Self {
        let put = Put {
            key,
            ignore_value: true,
            ..Put::default()
        };
        Request::Put(put).into()
    }

    pub fn delete(key: Vec<u8>) -> Self {
        Self::delete_range(key, Vec::new())
    }

    pub fn delete_range(key: Vec<u8>, range_end: Vec<u8>) -> Self {
        Request::DeleteRange(DeleteRange { key, range_end }).into()
    }

    /// Several in one.
    pub fn all(success: Vec<Self>) -> Self {
        let txn = Txn {
            success,
            ..Txn::default()
        };
        Request::Txn(txn).into()
    }
}

impl From<Request> for Op {
    fn from(request: Request) -> Self {
        Self {
            request: Some(request),
        }
    }
}

impl Range {
    pub fn one(key: Vec<u8>) -> Self {
        Self {
            key,
            ..Self::default()
        }
    }
}

impl Compare {
    /// Nothing stands at the key.
    pub fn absent(key: Vec<u8>) -> Self {
        Self::created(key, 0)
    }

    /// Nothing stands in the range.
    pub fn empty(key: Vec<u8>, range_end: Vec<u8>) -> Self {
        Self {
            range_end,
            ..Self::created(key, 0)
        }
    }

    /// Something stands at the key.
    pub fn present(key: Vec<u8>) -> Self {
        Self {
            result: GREATER,
            ..Self::created(key, 0)
        }
    }

    pub fn created(key: Vec<u8>, revision: i64) -> Self {
        Self::new(CREATED, key, Wanted::Created(revision))
    }

    pub fn modified(key: Vec<u8>, revision: i64) -> Self {
        Self::new(MODIFIED, key, Wanted::Modified(revision))
    }

    /// Just this stands at the key.
    pub fn is(key: Vec<u8>, value: Vec<u8>) -> Self {
        Self::new(VALUE, key, Wanted::Value(value))
    }

    fn new(target: i32, key: Vec<u8>, wanted: Wanted) -> Self {
        Self {
            result: EQUAL,
            target,
            key,
            wanted: Some(wanted),
            range_end: Vec::new(),
        }
    }
}

impl Done {
    pub fn revision(&self) -> i64 {
        self.header.as_ref().map_or(0, |header| header.revision)
    }

    /// What a range of it found, by its place among the operations.
    pub fn found(&self, place: usize) -> &[KeyValue] {
        match self.responses.get(place).map(|answer| &answer.response) {
            Some(Some(Answer::Range(ranged))) => &ranged.kvs,
            _ => &[],
        }
    }

    /// The one key of it.
    pub fn one(&self, place: usize) -> Option<&KeyValue> {
        self.found(place).first()
    }
}
