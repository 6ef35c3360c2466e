//! caucase's dialect: what its stock clients say and hear over HTTP (caucase contract, sections 2 to 5).

mod answer;
mod cors;
mod envelope;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod hal;
mod origin;
mod route;

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use ca::{Approve, Authority, AuthorityName, ReadRequests, Reject, RequestId, Revoke};
use engine::{House, SignInFailed};
use http::header::{CONNECTION, CONTENT_TYPE, COOKIE, ORIGIN, USER_AGENT};
use http::{HeaderMap, HeaderValue, StatusCode, Version};
use identity::{Action, Permit};
use x509::pem::PemError;
use x509::{KeyId, ParseError, SigningRequest};

use self::answer::{Answer, Refusal};
use self::cors::{Asked, Cors, Decision};
use self::envelope::{Envelope, Revocation};
use self::origin::Own;
use self::route::{Call, Node, Routed};
use crate::doors::{Peer, read_body};

/// The longest body (section 2.2).
const BODY_BYTES_MAX: usize = 10 * 1024 * 1024;
/// What follows a revocation list's number for those who want DER.
const DER_SUFFIX: &str = ".der";

/// Where the services authority's revocation lists are: before and after the issuer's number. The first is
/// in DER, as RFC 5280 §4.2.1.13 and `openssl verify -crl_download` want it, the second in PEM.
pub(crate) fn crl_addresses(netloc: &str) -> Vec<(String, String)> {
    let before = format!("http://{netloc}/cas/crl/");
    vec![(before.clone(), DER_SUFFIX.to_owned()), (before, String::new())]
}

/// Has a token sign what clients are going to ask for in any case: that each CA certificate follows the one before. What it
/// signed once is there while it is away; what cannot be signed now is signed when it is asked for.
pub async fn sign_handovers(house: &House) {
    for name in [AuthorityName::Services, AuthorityName::Users] {
        for handover in house.authority(name).handovers().await.unwrap_or_default() {
            if let Err(error) = handover.say(envelope::succession).await {
                tracing::debug!(authority = %name, %error, "a handover is not signed yet");
            }
        }
    }
}

/// The dialect's server side.
pub(crate) struct Caucase {
    house: Arc<House>,
    cors: Cors,
}

/// Everything about a request but its body.
struct Context {
    peer: Peer,
    headers: HeaderMap,
    own: Own,
    query: String,
    /// The node's path, as requested.
    path: String,
}

impl Context {
    fn header(&self, name: &http::HeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Whose page asks, if it is not one of ours. What is no text is nobody's, and two are not both ours.
    fn foreign_origin(&self) -> Option<String> {
        let origins = self.headers.get_all(ORIGIN).iter();
        let mut origins = origins.map(|origin| String::from_utf8_lossy(origin.as_bytes()));
        origins.find(|origin| !self.own.is_own(origin)).map(Cow::into_owned)
    }

    /// All cookies: over HTTP/2 browsers send them in several fields (RFC 9113 §8.2.3).
    fn cookies(&self) -> Option<String> {
        let fields: Vec<_> =
            self.headers.get_all(COOKIE).iter().filter_map(|field| field.to_str().ok()).collect();
        (!fields.is_empty()).then(|| fields.join("; "))
    }

    /// Whether the body is said to be `kind`, perhaps with parameters.
    fn content_is(&self, kind: &str) -> bool {
        self.header(&CONTENT_TYPE).is_some_and(|value| {
            value.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(kind)
        })
    }
}

/// Whether the connection ends with the answer (section 2.2). Stock clients ask again after hours, and take it for a
/// failure when the connection that they were left is gone.
fn expects_the_end(request: &Request) -> bool {
    let agent = request.headers().get(USER_AGENT).map(HeaderValue::as_bytes).unwrap_or_default();
    agent.starts_with(b"caucase") && request.version() <= Version::HTTP_11
}

impl Caucase {
    pub(crate) fn new(house: Arc<House>, cors_whitelist: Vec<String>, cors_key_store: PathBuf) -> Self {
        let cors = Cors::open(cors_whitelist, cors_key_store, house.clock().clone(), house.entropy().clone());
        Self { house, cors }
    }

    /// Answers one request. Never fails: a refusal is an answer.
    pub(crate) async fn answer(&self, request: Request) -> Response {
        let ends = expects_the_end(&request);
        let mut response = self.respond(request).await;
        if ends {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    async fn respond(&self, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let Some(peer) = parts.extensions.get::<Peer>().cloned() else {
            return Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "no connection").into_response();
        };
        let found = route::find(parts.uri.path());
        let context = Context {
            own: Own::of(&parts.headers, parts.uri.authority(), &peer),
            peer,
            headers: parts.headers,
            query: parts.uri.query().unwrap_or_default().to_owned(),
            path: found.path.clone(),
        };
        let routed = route::route(&found, &parts.method);
        let foreign = context.foreign_origin();
        let Some(origin) = foreign else {
            return self.dispatch(routed, found.node, context, body).await;
        };
        self.answer_foreign(&origin, routed, found.node, context, body).await
    }

    /// Answers a page of another origin, if it is allowed.
    async fn answer_foreign(
        &self,
        origin: &str,
        routed: Routed,
        node: Node,
        context: Context,
        body: Body,
    ) -> Response {
        let is_preflight = matches!(routed, Routed::Preflight);
        // What has no handler is refused whoever asks, as the original does; that says nothing about origins.
        if matches!(routed, Routed::MethodNotAllowed | Routed::NotFound) {
            return self.dispatch(routed, node, context, body).await;
        }
        let harmless = is_preflight || matches!(routed, Routed::Call(Call::Root | Call::Authority(_)));
        let decision = self.cors.decide(&Asked {
            origin,
            harmless,
            is_form_answer: matches!(routed, Routed::Call(Call::CorsAnswer)),
            cookie: context.cookies().as_deref(),
        });
        match decision {
            Decision::Allowed => {}
            Decision::Refused => return Refusal::new(StatusCode::FORBIDDEN, "").into_response(),
            Decision::Ask(cookie) => {
                let challenge = cors::challenge(&context.own.https(), origin);
                return Refusal::unauthorized(&challenge, "").cookie(cookie.as_ref()).into_response();
            }
        }
        let response = self.dispatch(routed, node, context, body).await;
        answer::allow_origin(
            response,
            origin,
            is_preflight.then(|| route::allowed_cross_origin(node)).as_deref(),
        )
    }

    async fn dispatch(&self, routed: Routed, node: Node, context: Context, body: Body) -> Response {
        match routed {
            Routed::Preflight => Answer::no_content().into_response(),
            Routed::MethodNotAllowed => Refusal::method_not_allowed(&route::allowed(node)).into_response(),
            Routed::NotFound => Refusal::new(StatusCode::NOT_FOUND, "").into_response(),
            Routed::Call(call) => match self.call(call, &context, body).await {
                Ok(answer) => answer.into_response(),
                Err(refusal) => refusal.into_response(),
            },
        }
    }

    async fn call(&self, call: Call, context: &Context, body: Body) -> Result<Answer, Refusal> {
        match call {
            Call::Root => Ok(Answer::hal(&hal::root())),
            Call::Authority(_) => {
                let base = if context.peer.secure { String::new() } else { context.own.https() };
                Ok(Answer::hal(&hal::authority(&context.path, &base)))
            }
            Call::CorsForm => cors_form(context),
            Call::CorsAnswer => self.cors_answer(context, body).await,
            Call::CrlAll(name) => self.crl_all(name).await,
            Call::CrlOne(name, number) => self.crl_one(name, &number).await,
            Call::Submit(name) => self.submit(name, context, body).await,
            Call::Pending(name) => self.pending(name, context).await,
            Call::Request(name, id) => {
                let text = self.authority(name).request(parse_id(&id)?).await.map_err(Refusal::of)?;
                Ok(Answer::ok("application/pkcs10", text))
            }
            Call::Reject(name, id) => self.reject(name, &id, context).await,
            Call::Certificate(name, id) => {
                let text = self.authority(name).certificate(parse_id(&id)?).await.map_err(Refusal::of)?;
                Ok(Answer::ok("application/pkix-cert", text))
            }
            Call::Approve(name, id) => self.approve(name, &id, context, body).await,
            Call::Anchor(name) => {
                let anchor = self.authority(name).oldest_anchor().await.map_err(Refusal::of)?;
                Ok(Answer::ok("application/x-x509-ca-cert", anchor.to_pem()))
            }
            Call::Chain(name) => self.chain(name).await,
            Call::Renew(name) => self.renew(name, context, body).await,
            Call::Revoke(name) => self.revoke(name, context, body).await,
        }
    }

    fn authority(&self, name: AuthorityName) -> &Arc<Authority> {
        self.house.authority(name)
    }

    /// Leave for the user who presented a certificate; anybody else is told to use one.
    async fn permit<A: Action>(&self, context: &Context) -> Result<Permit<A>, Refusal> {
        let from = Some(context.peer.address.ip());
        match self.house.sign_in(context.peer.certificate.as_deref(), from).await {
            Ok(principal) => Permit::grant(principal).map_err(|denied| {
                self.house.refusals().request(&denied, from, self.house.clock());
                Refusal::of(denied)
            }),
            Err(SignInFailed::SignIn(error)) => {
                if context.peer.certificate.is_some() {
                    self.house.refusals().sign_in(from, self.house.clock());
                }
                Err(Refusal::unauthorized("transport", &error.to_string()))
            }
            Err(error @ SignInFailed::Authority(_)) => Err(Refusal::of(error)),
        }
    }

    async fn crl_all(&self, name: AuthorityName) -> Result<Answer, Refusal> {
        let published = self.authority(name).published().await.map_err(Refusal::of)?;
        let lists: Vec<&str> = published.lists.iter().map(|list| list.pem.as_str()).collect();
        Ok(Answer::ok("application/pkix-crl", lists.join("\n")))
    }

    async fn crl_one(&self, name: AuthorityName, number: &str) -> Result<Answer, Refusal> {
        let not_found = || Refusal::new(StatusCode::NOT_FOUND, "");
        let (number, as_der) = match number.strip_suffix(DER_SUFFIX) {
            Some(number) => (number, true),
            None => (number, false),
        };
        let key_id = KeyId::from_decimal(number).ok_or_else(not_found)?;
        let list = self.authority(name).published_of(&key_id).await.map_err(Refusal::of)?;
        let list = list.ok_or_else(not_found)?;
        let body = if as_der { Bytes::from(list.der) } else { Bytes::from(list.pem) };
        Ok(Answer::ok("application/pkix-crl", body))
    }

    async fn submit(&self, name: AuthorityName, context: &Context, body: Body) -> Result<Answer, Refusal> {
        let body = read_body(body, BODY_BYTES_MAX).await.map_err(Refusal::of)?;
        let (csr, text) = parse_request(&body)?;
        let authority = self.authority(name).clone();
        // To its end, also when the client hangs up: what is stored must be finished.
        let from = context.peer.address.ip();
        let submitted =
            self.house.tasks().complete(async move { authority.submit_from(from, &csr, &text).await });
        let id = submitted.await.map_err(Refusal::of)?;
        Ok(Answer::created(&id.to_string()))
    }

    async fn pending(&self, name: AuthorityName, context: &Context) -> Result<Answer, Refusal> {
        let permit = self.permit::<ReadRequests>(context).await?;
        let pending = self.authority(name).pending(permit).await.map_err(Refusal::of)?;
        let list: Vec<_> = pending
            .iter()
            .map(|request| serde_json::json!({"id": request.id.to_string(), "csr": request.csr}))
            .collect();
        Ok(Answer::json(&list.into()).private())
    }

    async fn reject(&self, name: AuthorityName, id: &str, context: &Context) -> Result<Answer, Refusal> {
        let id = parse_id(id)?;
        let permit = self.permit::<Reject>(context).await?;
        let authority = self.authority(name).clone();
        let rejected = self.house.tasks().complete(async move { authority.reject(permit, id).await });
        rejected.await.map_err(Refusal::of)?;
        Ok(Answer::no_content().private())
    }

    async fn approve(
        &self,
        name: AuthorityName,
        id: &str,
        context: &Context,
        body: Body,
    ) -> Result<Answer, Refusal> {
        let id = parse_id(id)?;
        let body = read_body(body, BODY_BYTES_MAX).await.map_err(Refusal::of)?;
        let template = if body.is_empty() {
            None
        } else if context.content_is("application/pkcs10") {
            Some(parse_request(&body)?.0)
        } else {
            return Err(Refusal::bad_request("Bad Content-Type"));
        };
        let permit = self.permit::<Approve>(context).await?;
        let authority = self.authority(name).clone();
        let approved = self
            .house
            .tasks()
            .complete(async move { authority.approve(permit, id, template.as_ref()).await.map(drop) });
        approved.await.map_err(Refusal::of)?;
        Ok(Answer::no_content().private())
    }

    async fn chain(&self, name: AuthorityName) -> Result<Answer, Refusal> {
        let handovers = self.authority(name).handovers().await.map_err(Refusal::of)?;
        let mut chain = Vec::with_capacity(handovers.len());
        for handover in &handovers {
            let statement = handover.say(envelope::succession).await.map_err(Refusal::of)?;
            chain.push(envelope::seal(&statement));
        }
        Ok(Answer::json(&chain.into()))
    }

    async fn read_json(&self, context: &Context, body: Body) -> Result<Envelope, Refusal> {
        if !context.content_is("application/json") {
            return Err(Refusal::bad_request("Bad Content-Type"));
        }
        let body = read_body(body, BODY_BYTES_MAX).await.map_err(Refusal::of)?;
        envelope::open(&body).map_err(Refusal::bad_request)
    }

    async fn renew(&self, name: AuthorityName, context: &Context, body: Body) -> Result<Answer, Refusal> {
        let Envelope::Signed(statement) = self.read_json(context, body).await? else {
            return Err(Refusal::bad_request("A renewal must be signed"));
        };
        let renewal = envelope::renewal(&statement.text).map_err(Refusal::bad_request)?;
        let holder = statement.by(renewal.old).map_err(Refusal::of)?.asking_from(context.peer.address.ip());
        let authority = self.authority(name).clone();
        let renewed = self
            .house
            .tasks()
            .complete(async move { authority.renew(holder, renewal.request, &renewal.request_text).await });
        let certificate = renewed.await.map_err(Refusal::of)?;
        Ok(Answer::ok("application/pkix-cert", certificate.to_pem()))
    }

    async fn revoke(&self, name: AuthorityName, context: &Context, body: Body) -> Result<Answer, Refusal> {
        let authority = self.authority(name).clone();
        match self.read_json(context, body).await? {
            Envelope::Signed(statement) => {
                let Revocation::Certificate(certificate) =
                    envelope::revocation(&statement.text).map_err(Refusal::bad_request)?
                else {
                    return Err(Refusal::bad_request("Missing revoke_crt_pem"));
                };
                let holder = statement.by(certificate).map_err(Refusal::of)?;
                let holder = holder.asking_from(context.peer.address.ip());
                let revoked = self.house.tasks().complete(async move { authority.revoke_own(holder).await });
                revoked.await.map_err(Refusal::of)?;
                Ok(Answer::no_content())
            }
            Envelope::Unsigned(payload) => {
                let permit = self.permit::<Revoke>(context).await?;
                let revocation = envelope::revocation(&payload).map_err(Refusal::bad_request)?;
                let revoked = self.house.tasks().complete(async move {
                    match revocation {
                        Revocation::Certificate(certificate) => authority.revoke(permit, &certificate).await,
                        Revocation::Serial(serial) => authority.revoke_serial(permit, &serial).await,
                    }
                });
                revoked.await.map_err(Refusal::of)?;
                Ok(Answer::no_content().private())
            }
        }
    }

    async fn cors_answer(&self, context: &Context, body: Body) -> Result<Answer, Refusal> {
        if !context.peer.secure {
            return Err(Refusal::new(StatusCode::NOT_FOUND, ""));
        }
        if context.header(&CONTENT_TYPE) != Some("application/x-www-form-urlencoded") {
            return Err(Refusal::bad_request("Unhandled Content-Type"));
        }
        let body = read_body(body, BODY_BYTES_MAX).await.map_err(Refusal::of)?;
        let text = std::str::from_utf8(&body).map_err(|_| Refusal::bad_request("Not text"))?;
        let fields = cors::fields(text);
        let only =
            |name| cors::only(&fields, name).ok_or_else(|| Refusal::bad_request("Missing or repeated field"));
        let (origin, return_to, grant) = (only("origin")?, only("return_to")?, only("grant")?);
        let granted = match grant.parse::<i64>() {
            Ok(0) => false,
            Ok(_) => true,
            Err(_) => return Err(Refusal::bad_request("grant is not a number")),
        };
        let location = return_address(return_to)?;
        let cookie =
            self.cors.remember(context.cookies().as_deref(), origin, granted).map_err(Refusal::of)?;
        Ok(Answer::found(location).cookie(&cookie))
    }
}

fn cors_form(context: &Context) -> Result<Answer, Refusal> {
    if !context.peer.secure {
        let query = if context.query.is_empty() { String::new() } else { format!("?{}", context.query) };
        let location = HeaderValue::try_from(format!("{}/cors{query}", context.own.https()))
            .map_err(|_| Refusal::bad_request("Bad Host"))?;
        return Ok(Answer::found(location));
    }
    let fields = cors::fields(&context.query);
    let (Some(origin), Some(return_to)) = (cors::only(&fields, "origin"), cors::only(&fields, "return"))
    else {
        return Err(Refusal::bad_request("Exactly one origin and one return are needed"));
    };
    return_address(return_to)?;
    Ok(Answer::ok("text/html; charset=utf-8", cors::form(origin, return_to)).unframed())
}

/// Where a browser may be sent back to: a web page, not a script.
fn return_address(text: &str) -> Result<HeaderValue, Refusal> {
    let is_web = ["http://", "https://"]
        .iter()
        .any(|scheme| text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)));
    HeaderValue::try_from(text)
        .ok()
        .filter(|_| is_web)
        .ok_or_else(|| Refusal::bad_request("return is not the address of a web page"))
}

fn parse_id(text: &str) -> Result<RequestId, Refusal> {
    text.parse().map_err(|error| match error {
        ca::ParseIdError::NotANumber => Refusal::bad_request("Invalid integer"),
        ca::ParseIdError::OutOfRange => Refusal::new(StatusCode::NOT_FOUND, ""),
    })
}

fn has_pem(body: &[u8]) -> bool {
    const BEGIN: &[u8] = b"-----BEGIN ";
    body.windows(BEGIN.len()).any(|bytes| bytes == BEGIN)
}

fn parse_request(body: &[u8]) -> Result<(SigningRequest, String), Refusal> {
    let csr = SigningRequest::from_pem(body).map_err(|error| match error {
        // What is no PEM at all is bad at any length.
        ParseError::Pem(PemError::TooLong { .. }) if has_pem(body) => {
            Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, base::report(&error))
        }
        error => Refusal::bad_request(format!("Not a CSR: {}", base::report(&error))),
    })?;
    let text = std::str::from_utf8(body).map_err(|_| Refusal::bad_request("Not a CSR: not text"))?;
    Ok((csr, text.to_owned()))
}
