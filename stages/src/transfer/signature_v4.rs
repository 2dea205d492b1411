//! Signs requests to S3: Signature Version 4 in the `Authorization` header.
//!
//! The header rather than the query string (the only form that `rusty-s3` makes): an address then holds no secret, and
//! servers that check only headers accept it. Only bodiless requests without a query are signed here, so the canonical
//! request is short. The steps and names are those of the vendor's description of the signature.

use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use pipe_contract::Failure;
use sha2::{Digest as _, Sha256};

use super::checksum::hex;
use super::credentials::Keys;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// The SHA-256 of no body.
const NO_BODY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// A GET request to be signed.
pub struct Get<'a> {
    /// `host`, or `host:port` where the port is not the scheme's own: exactly what the client sends as `Host`.
    pub host: &'a str,
    /// The path, percent-encoded as in the address.
    pub path: &'a str,
    /// The bucket's region.
    pub region: &'a str,
}

impl Get<'_> {
    /// The headers that make the request a signed one, at a time.
    ///
    /// # Errors
    /// Internal: never, as far as is known (keys of any length can be used).
    pub fn headers(&self, keys: &Keys, now: Timestamp) -> Result<Vec<(&'static str, String)>, Failure> {
        let time = now.strftime("%Y%m%dT%H%M%SZ").to_string();
        let mut headers = vec![("x-amz-content-sha256", NO_BODY.to_owned()), ("x-amz-date", time.clone())];
        headers.extend(keys.token.iter().map(|token| ("x-amz-security-token", token.clone())));

        let scope = format!("{}/{}/s3/aws4_request", &time[..8], self.region);
        let (names, request) = self.canonical_request(&headers);
        let to_sign = format!("{ALGORITHM}\n{time}\n{scope}\n{}", hex(&Sha256::digest(request)));
        let mut key = format!("AWS4{}", keys.secret).into_bytes();
        for part in scope.split('/') {
            key = hmac(&key, part)?;
        }
        let signature = hex(&hmac(&key, &to_sign)?);
        let id = &keys.id;
        let value = format!("{ALGORITHM} Credential={id}/{scope}, SignedHeaders={names}, Signature={signature}");
        headers.push(("authorization", value));
        Ok(headers)
    }

    /// The names of the signed headers, and the canonical text of the request.
    fn canonical_request(&self, headers: &[(&'static str, String)]) -> (String, String) {
        let all: Vec<(&str, &str)> = std::iter::once(("host", self.host))
            .chain(headers.iter().map(|(name, value)| (*name, value.trim())))
            .collect();
        let names = all.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
        let lines: String = all.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        (names.clone(), format!("GET\n{}\n\n{lines}\n{names}\n{NO_BODY}", self.path))
    }
}

fn hmac(key: &[u8], text: &str) -> Result<Vec<u8>, Failure> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).map_err(|error| Failure::internal(format!("HMAC: {error}")))?;
    mac.update(text.as_bytes());
    Ok(mac.finalize().into_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(token: Option<&str>) -> Keys {
        Keys {
            id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
            secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned(),
            token: token.map(str::to_owned),
            found_in: "a test".to_owned(),
        }
    }

    fn signed(path: &str, token: Option<&str>) -> String {
        let get = Get { host: "examplebucket.s3.amazonaws.com", path, region: "us-east-1" };
        let now = "2013-05-24T00:00:00Z".parse().unwrap();
        get.headers(&keys(token), now).unwrap().pop().unwrap().1
    }

    /// Computed with the vendor's own signer (botocore 1.44.5, `S3SigV4Auth`) for the same keys and time.
    #[test]
    fn signatures_are_those_of_the_vendors_signer() {
        assert_eq!(
            signed("/test.txt", None),
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, \
             SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature=df548e2ce037944d03f3e68682813b093763996d597cf890ca3d9037fd231eb4"
        );
        assert!(
            signed("/a%20b%2Bc/%C3%A9.txt", None)
                .ends_with("Signature=288298728408dd4262427ab85b74b60f760a4a2532292ec7fe8b986cd1324b47")
        );
        assert!(
            signed("/test.txt", Some("tok/en=="))
                .ends_with("Signature=b3e5231bfa26fe162a5ee56419507c5318e6d1eee7250f3de8b98c707b817efb")
        );
        assert!(signed("/test.txt", Some("tok/en==")).contains("x-amz-date;x-amz-security-token,"));
    }
}
