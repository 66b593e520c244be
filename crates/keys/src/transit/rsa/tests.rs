use super::*;
use crate::golden::{bytes, list, load};

const HASHES: [Digest; 9] = [
    Digest::Sha1,
    Digest::Sha2_224,
    Digest::Sha2_256,
    Digest::Sha2_384,
    Digest::Sha2_512,
    Digest::Sha3_224,
    Digest::Sha3_256,
    Digest::Sha3_384,
    Digest::Sha3_512,
];

#[test]
fn signs_with_every_hash_and_padding() {
    let private = generate(256).unwrap();
    let private = private.expose();
    let public = public(private, 256).unwrap();
    for hash in HASHES {
        let hashed = hash.of(b"message");
        for (padding, loose) in [
            (Padding::Pkcs1, Padding::Pkcs1),
            (Padding::Pss(Salt::Auto), Padding::Pss(Salt::Auto)),
            (
                Padding::Pss(Salt::Hash),
                Padding::Pss(Salt::Bytes(hash.size())),
            ),
            (Padding::Pss(Salt::Bytes(5)), Padding::Pss(Salt::Auto)),
            (Padding::Pss(Salt::Bytes(0)), Padding::Pss(Salt::Bytes(0))),
        ] {
            let signature = sign(private, 256, padding, Some(hash), &hashed).unwrap();
            let verify = |padding, hashed: &[u8]| {
                verify(&public, 256, padding, Some(hash), hashed, &signature).unwrap()
            };
            assert!(verify(loose, &hashed), "{hash:?} {padding:?}");
            assert!(!verify(loose, &hash.of(b"massage")));
            assert!(!verify(Padding::Pss(Salt::Bytes(7)), &hashed));
        }
        let long = Padding::Pss(Salt::Bytes(256));
        assert!(sign(private, 256, long, Some(hash), &hashed).is_err());
        assert!(sign(private, 256, Padding::Pkcs1, Some(hash), &hashed[1..]).is_err());
    }
    let signature = sign(private, 256, Padding::Pkcs1, None, b"as it is").unwrap();
    assert!(verify(&public, 256, Padding::Pkcs1, None, b"as it is", &signature).unwrap());
    assert!(!verify(&public, 256, Padding::Pkcs1, None, b"as it is", &[1; 7]).unwrap());
}

#[test]
fn oaep_with_every_hash() {
    let private = generate(256).unwrap();
    let public = public(private.expose(), 256).unwrap();
    for hash in &HASHES[..5] {
        let sealed = seal(&public, 256, *hash, b"plaintext").unwrap();
        let opened = open(private.expose(), 256, *hash, &sealed).unwrap();
        assert_eq!(opened.expose(), b"plaintext");
        for other in HASHES[..5].iter().filter(|other| *other != hash) {
            assert!(open(private.expose(), 256, *other, &sealed).is_err());
        }
    }
    assert!(seal(&public, 256, Digest::Sha2_256, &[0; longest(256)]).is_ok());
    assert!(seal(&public, 256, Digest::Sha2_256, &[0; longest(256) + 1]).is_err());
    assert!(seal(&public, 256, Digest::Sha3_256, b"").is_err());
}

#[test]
fn published_signatures() {
    for (file, padding) in [
        ("rsa_signature_2048_sha256_test.json", Padding::Pkcs1),
        ("rsa_signature_3072_sha256_test.json", Padding::Pkcs1),
        ("rsa_signature_4096_sha256_test.json", Padding::Pkcs1),
        (
            "rsa_pss_2048_sha256_mgf1_0_test.json",
            Padding::Pss(Salt::Bytes(0)),
        ),
        (
            "rsa_pss_2048_sha256_mgf1_32_test.json",
            Padding::Pss(Salt::Hash),
        ),
    ] {
        let golden = load(&format!("wycheproof/{file}"));
        let mut tests = 0;
        for group in list(&golden, "testGroups") {
            let key = &group["publicKey"];
            let (modulus, exponent) = (bytes(key, "modulus"), bytes(key, "publicExponent"));
            let public = der::sequence(&[&der::integer(&modulus), &der::integer(&exponent)]);
            let len = der::strip(&modulus).len();
            for test in list(group, "tests") {
                let hashed = Digest::Sha2_256.of(&bytes(test, "msg"));
                let signature = bytes(test, "sig");
                let hash = Some(Digest::Sha2_256);
                let valid = verify(&public, len, padding, hash, &hashed, &signature);
                let expected = &test["result"];
                assert!(
                    expected == "acceptable" || valid == Ok(expected == "valid"),
                    "{file} {}",
                    test["tcId"]
                );
                tests += 1;
            }
        }
        assert!(tests > 10, "{file}: {tests}");
    }
}

#[test]
fn published_salts() {
    let golden = load("wycheproof/rsa_pss_misc_test.json");
    let mut tests = 0;
    for group in list(&golden, "testGroups") {
        let hash = match group["sha"].as_str().unwrap() {
            "SHA-1" => Digest::Sha1,
            "SHA-224" => Digest::Sha2_224,
            "SHA-256" => Digest::Sha2_256,
            "SHA-384" => Digest::Sha2_384,
            "SHA-512" => Digest::Sha2_512,
            _ => continue,
        };
        let len = usize::try_from(group["keySize"].as_u64().unwrap()).unwrap() / 8;
        let salt = usize::try_from(group["sLen"].as_u64().unwrap()).unwrap();
        // The mask is made with the same hash here.
        if group["mgfSha"] != group["sha"] || ![256, 384, 512].contains(&len) {
            continue;
        }
        let key = &group["publicKey"];
        let (modulus, exponent) = (bytes(key, "modulus"), bytes(key, "publicExponent"));
        let public = der::sequence(&[&der::integer(&modulus), &der::integer(&exponent)]);
        for test in list(group, "tests") {
            let (hashed, signature) = (hash.of(&bytes(test, "msg")), bytes(test, "sig"));
            for salt in [Salt::Bytes(salt), Salt::Auto] {
                let padding = Padding::Pss(salt);
                let valid = verify(&public, len, padding, Some(hash), &hashed, &signature);
                let expected = &test["result"];
                assert!(
                    expected == "acceptable" || valid == Ok(expected == "valid"),
                    "{salt:?} {}",
                    test["tcId"]
                );
            }
            tests += 1;
        }
    }
    assert!(tests > 10, "{tests}");
}

#[test]
fn published_oaep() {
    let golden = load("wycheproof/rsa_oaep_2048_sha256_mgf1sha256_test.json");
    let mut tests = 0;
    for group in list(&golden, "testGroups") {
        let key = bytes(group, "privateKeyPkcs8");
        let mut reader = Reader::new(&key).sequence().unwrap();
        reader.integer().unwrap();
        reader.sequence().unwrap();
        let private = reader.take(tag::OCTETS).unwrap();
        for test in list(group, "tests") {
            if !bytes(test, "label").is_empty() {
                continue;
            }
            let opened = open(private, 256, Digest::Sha2_256, &bytes(test, "ct"));
            let expected = (test["result"] == "valid").then(|| bytes(test, "msg"));
            assert_eq!(
                opened.ok().map(|opened| opened.expose().clone()),
                expected,
                "{}",
                test["tcId"]
            );
            tests += 1;
        }
    }
    assert!(tests > 10, "{tests}");
}
