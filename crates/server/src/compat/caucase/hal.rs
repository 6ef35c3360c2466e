//! What can be done here, as HAL documents (caucase contract, section 4).

use serde_json::{Map, Value, json};

/// `GET /`; a monitoring test of the original compares it with equality.
pub(super) fn root() -> Value {
    json!({
        "_links": {
            "self": {"href": "/"},
            "getCASHAL": {"title": "cas", "href": "/cas"},
            "getCAUHAL": {"title": "cau", "href": "/cau"},
        }
    })
}

/// One thing that can be done.
struct Item {
    name: &'static str,
    /// What follows the authority's path.
    path: &'static str,
    title: &'static str,
    /// Whether it takes a user, and so HTTPS.
    secure: bool,
}

const fn item(name: &'static str, path: &'static str, title: &'static str, secure: bool) -> Item {
    Item { name, path, title, secure }
}

const LINKS: &[Item] = &[
    item(
        "getCertificateRevocationListList",
        "/crl",
        "Retrieve latest certificate revocation list for all valid authorities.",
        false,
    ),
    item(
        "getCertificateRevocationList",
        "/crl/{+authority_key_id}",
        "Retrieve latest certificate revocation list for given decimal representation of the authority identifier.",
        false,
    ),
    item("getPendingCertificateRequestList", "/csr", "List pending certificate signing requests.", true),
    item(
        "getCertificateSigningRequest",
        "/csr/{+csr_id}",
        "Retrieve a pending certificate signing request.",
        false,
    ),
    item("getCertificate", "/crt/{+csr_id}", "Retrieve a signed certificate.", false),
    item("getCACertificate", "/crt/ca.crt.pem", "Retrieve current CA certificate.", false),
    item("getCACertificateChain", "/crt/ca.crt.json", "Retrieve current CA certificate trust chain.", false),
];

const ACTIONS: &[(&str, Item)] = &[
    ("PUT", item("createCertificateSigningRequest", "/csr", "Request a new certificate signature.", false)),
    (
        "DELETE",
        item(
            "deletePendingCertificateRequest",
            "/csr/{+csr_id}",
            "Reject a pending certificate signing request.",
            true,
        ),
    ),
    ("PUT", item("createCertificate", "/crt/{+crt_id}", "Accept pending certificate signing request", true)),
    ("PUT", item("revokeCertificate", "/crt/revoke", "Revoke a certificate", false)),
    ("PUT", item("renewCertificate", "/crt/renew", "Renew a certificate", false)),
];

/// `GET /cas` or `/cau`: `path` as requested; `secure_base` leads to HTTPS, and is empty when already there.
pub(super) fn authority(path: &str, secure_base: &str) -> Value {
    let document = |item: &Item| {
        let base = if item.secure { secure_base } else { "" };
        let mut fields = Map::new();
        fields.insert("href".into(), format!("{base}{path}{}", item.path).into());
        fields.insert("title".into(), item.title.into());
        if item.path.ends_with('}') {
            fields.insert("templated".into(), true.into());
        }
        fields
    };
    let mut links = Map::new();
    links.insert("self".into(), json!({"href": path}));
    links.insert("home".into(), json!({"href": "/"}));
    links.extend(LINKS.iter().map(|item| (item.name.to_owned(), document(item).into())));
    let actions: Map<String, Value> = ACTIONS
        .iter()
        .map(|(method, item)| {
            let mut fields = document(item);
            fields.insert("method".into(), (*method).into());
            (item.name.to_owned(), fields.into())
        })
        .collect();
    json!({"_links": links, "_actions": actions})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_a_user_leads_to_https() {
        let document = authority("/cas", "https://[::1]:8001");
        assert_eq!(
            document["_links"]["getPendingCertificateRequestList"],
            json!({"href": "https://[::1]:8001/cas/csr", "title": "List pending certificate signing requests."})
        );
        assert_eq!(
            document["_actions"]["createCertificate"],
            json!({
                "href": "https://[::1]:8001/cas/crt/{+crt_id}",
                "title": "Accept pending certificate signing request",
                "templated": true,
                "method": "PUT",
            })
        );
        assert_eq!(
            document["_actions"]["renewCertificate"],
            json!({"href": "/cas/crt/renew", "title": "Renew a certificate", "method": "PUT"})
        );
        assert_eq!(document["_links"]["self"], json!({"href": "/cas"}));
    }
}
