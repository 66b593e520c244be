//! The table of the engine's paths.

use keyfold_core::ports::engine::Route;
use keyfold_core::request::Op;
use keyfold_core::tools;

use super::{
    Transit, agree, backup, byok, cache_config, catalogs, census, certificate, compromise, datakey,
    datakeys, decrypt, encrypt, export, import, keys, retire, rewrap, shelve, shred, sign, tag,
    trim, tune, upsert, verify,
};

pub(super) const ROUTES: &[Route<Transit>] = &[
    Route::new(Op::List, "keys", "The names of the keys.", |e, c| {
        Box::pin(keys::list(e, c))
    }),
    Route::new(Op::List, "keys/", "The names of the keys.", |e, c| {
        Box::pin(keys::list(e, c))
    }),
    Route::new(
        Op::Read,
        "keys/{name}",
        "A key's settings and when its versions were made.",
        |e, c| Box::pin(keys::read(e, c)),
    ),
    Route::new(
        Op::Write,
        "keys/{name}",
        "Makes a key, unless it is there.",
        |e, c| Box::pin(keys::create(e, c)),
    ),
    Route::new(
        Op::Delete,
        "keys/{name}",
        "Destroys a key that may be deleted.",
        |e, c| Box::pin(keys::delete(e, c)),
    ),
    Route::new(
        Op::Write,
        "keys/{name}/config",
        "Changes a key's settings.",
        |e, c| Box::pin(tune::write(e, c)),
    ),
    Route::new(
        Op::Read,
        "keys/{name}/census",
        "What the versions of a key were used for.",
        |e, c| Box::pin(census::read(e, c)),
    ),
    Route::new(
        Op::List,
        "keys/{name}/catalogs",
        "Scans that told what they found under a key.",
        |e, c| Box::pin(catalogs::list(e, c)),
    ),
    Route::new(
        Op::List,
        "keys/{name}/catalogs/",
        "Scans that told what they found under a key.",
        |e, c| Box::pin(catalogs::list(e, c)),
    ),
    Route::new(
        Op::Read,
        "keys/{name}/catalogs/{catalog}",
        "What a scan found under the versions of a key.",
        |e, c| Box::pin(catalogs::read(e, c)),
    ),
    Route::new(
        Op::Write,
        "keys/{name}/catalogs/{catalog}",
        "Tells what a scan found under the versions of a key.",
        |e, c| Box::pin(catalogs::write(e, c)),
    ),
    Route::new(
        Op::Delete,
        "keys/{name}/catalogs/{catalog}",
        "Forgets a scan.",
        |e, c| Box::pin(catalogs::remove(e, c)),
    ),
    Route::new(
        Op::Write,
        "keys/{name}/retire",
        "Retires old versions that nothing needs.",
        |e, c| Box::pin(retire::run(e, c)),
    ),
    Route::new(
        Op::Write,
        "keys/{name}/compromised",
        "Marks a version that somebody else may have, and tells what it touches.",
        |e, c| Box::pin(compromise::mark(e, c)),
    ),
    Route::new(
        Op::Delete,
        "keys/{name}/compromised/{version}",
        "Takes such a mark back.",
        |e, c| Box::pin(compromise::clear(e, c)),
    ),
    Route::new(
        Op::Read,
        "keys/{name}/shred",
        "How far the destruction of a key is, and what needs the key yet.",
        |e, c| Box::pin(shred::read(e, c)),
    ),
    Route::new(
        Op::Write,
        "keys/{name}/shred",
        "Asks for the destruction of a key, which makes nothing more from then on.",
        |e, c| Box::pin(shred::begin(e, c)),
    ),
    Route::new(
        Op::Write,
        "keys/{name}/shred/approve",
        "Agrees to the destruction of a key that somebody else has asked for.",
        |e, c| Box::pin(shred::approve(e, c)),
    ),
    Route::new(
        Op::Write,
        "keys/{name}/shred/cancel",
        "Keeps a key that was to be destroyed.",
        |e, c| Box::pin(shred::cancel(e, c)),
    ),
    Route::new(
        Op::Write,
        "keys/{name}/shred/destroy",
        "Destroys a key for good, after its delay and with two who agree.",
        |e, c| Box::pin(shred::destroy(e, c)),
    ),
    Route::new(
        Op::List,
        "shred/receipts",
        "The receipts of destroyed keys.",
        |e, c| Box::pin(shred::receipts(e, c)),
    ),
    Route::new(
        Op::List,
        "shred/receipts/",
        "The receipts of destroyed keys.",
        |e, c| Box::pin(shred::receipts(e, c)),
    ),
    Route::new(
        Op::Read,
        "shred/receipts",
        "The receipts of destroyed keys.",
        |e, c| Box::pin(shred::receipts(e, c)),
    ),
    Route::new(
        Op::Read,
        "shred/receipts/key",
        "The public key that verifies receipts.",
        |e, c| Box::pin(shred::receipts_key(e, c)),
    ),
    Route::new(
        Op::Read,
        "shred/receipts/{id}",
        "A receipt, to be read and as it was signed.",
        |e, c| Box::pin(shred::receipt(e, c)),
    ),
    Route::new(
        Op::Read,
        "config/shred",
        "How long a key waits at least before it is destroyed.",
        |e, c| Box::pin(shred::rules(e, c)),
    ),
    Route::new(
        Op::Write,
        "config/shred",
        "Says how long a key waits at least before it is destroyed.",
        |e, c| Box::pin(shred::set_rules(e, c)),
    )
    .sudo(),
    Route::new(
        Op::Write,
        "census/caller",
        "What a token is called in the censuses of the mount.",
        |e, c| Box::pin(census::caller(e, c)),
    ),
    Route::new(
        Op::Write,
        "keys/{name}/rotate",
        "Makes a new version of a key.",
        |e, c| Box::pin(keys::rotate(e, c)),
    ),
    Route::new(
        Op::Write,
        "encrypt/{name}",
        "Encrypts, under a new key where none is there.",
        |e, c| Box::pin(encrypt::run(e, c)),
    )
    .exists(|e, c| Box::pin(encrypt::exists(e, c))),
    Route::new(Op::Write, "decrypt/{name}", "Decrypts.", |e, c| {
        Box::pin(decrypt::run(e, c))
    }),
    Route::new(
        Op::Write,
        "rewrap/{name}",
        "Encrypts anew under the newest version.",
        |e, c| Box::pin(rewrap::run(e, c)),
    ),
    Route::new(
        Op::Write,
        "datakey/{kind}/{name}",
        "Makes a DEK, wrapped under a key.",
        |e, c| Box::pin(datakey::run(e, c)),
    ),
    Route::new(
        Op::Read,
        "config/keys",
        "Whether encrypt may create keys.",
        |e, c| Box::pin(upsert::read(e, c)),
    ),
    Route::new(
        Op::Write,
        "config/keys",
        "Says whether encrypt may create keys.",
        |e, c| Box::pin(upsert::write(e, c)),
    ),
    Route::new(
        Op::Write,
        "keys/{name}/trim",
        "Destroys versions that are needed no more.",
        |e, c| Box::pin(trim::run(e, c)),
    ),
    Route::new(
        Op::Delete,
        "keys/{name}/soft-delete",
        "Keeps a key and refuses its use.",
        |e, c| Box::pin(shelve::delete(e, c)),
    ),
    Route::new(
        Op::Write,
        "keys/{name}/soft-delete-restore",
        "Allows the use of a key again.",
        |e, c| Box::pin(shelve::restore(e, c)),
    ),
    Route::new(Op::Write, "sign/{name}", "Signs.", |e, c| {
        Box::pin(sign::run(e, c))
    }),
    Route::new(
        Op::Write,
        "sign/{name}/{algorithm}",
        "Signs, with a hash function.",
        |e, c| Box::pin(sign::run(e, c)),
    ),
    Route::new(
        Op::Write,
        "verify/{name}",
        "Verifies a signature or a tag.",
        |e, c| Box::pin(verify::run(e, c)),
    ),
    Route::new(
        Op::Write,
        "verify/{name}/{algorithm}",
        "Verifies a signature or a tag, with a hash function.",
        |e, c| Box::pin(verify::run(e, c)),
    ),
    Route::new(Op::Write, "hmac/{name}", "Makes an HMAC.", |e, c| {
        Box::pin(tag::hmac(e, c))
    }),
    Route::new(
        Op::Write,
        "hmac/{name}/{algorithm}",
        "Makes an HMAC, with a hash function.",
        |e, c| Box::pin(tag::hmac(e, c)),
    ),
    Route::new(Op::Write, "cmac/{name}", "Makes a CMAC.", |e, c| {
        Box::pin(tag::cmac(e, c))
    }),
    Route::new(
        Op::Read,
        "export/{kind}/{name}",
        "The material of a key that allows it.",
        |e, c| Box::pin(export::run(e, c)),
    ),
    Route::new(
        Op::Read,
        "export/{kind}/{name}/{version}",
        "The material of one version.",
        |e, c| Box::pin(export::run(e, c)),
    ),
    Route::new(Op::Write, "random", "Gives random bytes.", |_, c| {
        Box::pin(async move { tools::random(c) })
    }),
    Route::new(
        Op::Write,
        "random/{first}",
        "Gives random bytes.",
        |_, c| Box::pin(async move { tools::random(c) }),
    ),
    Route::new(
        Op::Write,
        "random/{source}/{bytes}",
        "Gives random bytes.",
        |_, c| Box::pin(async move { tools::random(c) }),
    ),
    Route::new(Op::Write, "hash", "Hashes what is sent.", |_, c| {
        Box::pin(async move { tools::hash(c) })
    }),
    Route::new(
        Op::Write,
        "hash/{algorithm}",
        "Hashes what is sent.",
        |_, c| Box::pin(async move { tools::hash(c) }),
    ),
    Route::new(
        Op::Read,
        "cache-config",
        "How many keys are held in memory.",
        |e, c| Box::pin(cache_config::read(e, c)),
    ),
    Route::new(
        Op::Write,
        "cache-config",
        "Says how many keys are held in memory.",
        |e, c| Box::pin(cache_config::write(e, c)),
    ),
    Route::new(
        Op::Read,
        "backup/{name}",
        "A whole key in clear, if it allows that.",
        |e, c| Box::pin(backup::run(e, c)),
    ),
    Route::new(Op::Write, "restore", "Brings a key back.", |e, c| {
        Box::pin(backup::restore(e, c))
    }),
    Route::new(
        Op::Write,
        "restore/{name}",
        "Brings a key back under another name.",
        |e, c| Box::pin(backup::restore(e, c)),
    ),
    Route::new(
        Op::Write,
        "datakeys/{kind}/{name}",
        "Makes many DEKs, wrapped under a key.",
        |e, c| Box::pin(datakeys::run(e, c)),
    ),
    Route::new(
        Op::Read,
        "wrapping_key",
        "The public key that keys are wrapped under on their way here.",
        |e, c| Box::pin(import::wrapping_key(e, c)),
    ),
    Route::new(
        Op::Write,
        "keys/{name}/import",
        "Brings a key that was made elsewhere.",
        |e, c| Box::pin(import::run(e, c)),
    ),
    Route::new(
        Op::Write,
        "keys/{name}/import_version",
        "Brings a version of an imported key.",
        |e, c| Box::pin(import::version(e, c)),
    ),
    Route::new(
        Op::Read,
        "byok-export/{destination}/{source}",
        "A key, wrapped for the holder of another.",
        |e, c| Box::pin(byok::run(e, c)),
    ),
    Route::new(
        Op::Read,
        "byok-export/{destination}/{source}/{version}",
        "A version of a key, wrapped for the holder of another.",
        |e, c| Box::pin(byok::run(e, c)),
    ),
    Route::new(
        Op::Write,
        "keys/{name}/csr",
        "A request for a certificate of a key.",
        |e, c| Box::pin(certificate::request(e, c)),
    ),
    Route::new(
        Op::Write,
        "keys/{name}/set-certificate",
        "Keeps the certificate of a key.",
        |e, c| Box::pin(certificate::set(e, c)),
    ),
    Route::new(
        Op::Write,
        "derive-key/{name}",
        "A key that a key of the mount and another agree on.",
        |e, c| Box::pin(agree::run(e, c)),
    ),
];
