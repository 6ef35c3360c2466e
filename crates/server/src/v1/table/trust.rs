//! The routes of trust that is handed on.

use trust::{ManageTrust, OfferTrust, ReadTrust};
use wire::Page;

use super::{Call, PAGED, Parameter, Row};

const RELATIONS: &[Parameter] =
    &[Parameter::Limit, Parameter::After, Parameter::Provider, Parameter::Requirer];
const GOING: &[Parameter] = &[Parameter::Confirm, Parameter::Why];
const REQUIRER_GOING: &[Parameter] = &[Parameter::LeaveBehind, Parameter::Why];

pub(super) fn rows() -> Vec<Row> {
    let mut rows = providers();
    rows.extend(requirers());
    rows.extend(relations());
    rows
}

fn providers() -> Vec<Row> {
    vec![
        Row::get(
            "/trust/providers",
            Call::TrustProviders,
            "listTrustProviders",
            "Who says what is to be trusted, a page at a time",
        )
        .may::<ReadTrust>()
        .query(PAGED)
        .answers::<Page<wire::TrustProvider>>(200)
        .or(&[422]),
        Row::get(
            "/trust/providers/{provider}",
            Call::TrustProvider,
            "getTrustProvider",
            "A provider of trust",
        )
        .may::<ReadTrust>()
        .answers::<wire::TrustProvider>(200)
        .or(&[404]),
        Row::put(
            "/trust/providers/{provider}",
            Call::PutTrustProvider,
            "putTrustProvider",
            "Make a provider of trust, or change what is said of one",
        )
        .unconditional()
        .may::<ManageTrust>()
        .takes::<wire::NewTrustProvider>()
        .answers::<wire::TrustProvider>(200)
        .or(&[409, 422, 507]),
        Row::delete(
            "/trust/providers/{provider}",
            Call::DeleteTrustProvider,
            "deleteTrustProvider",
            "Have a provider of trust go, and after its grace its certificates",
        )
        .unconditional()
        .may::<ManageTrust>()
        .query(GOING)
        .or(&[404, 409]),
        Row::get(
            "/trust/providers/{provider}/certificates",
            Call::ProviderCertificates,
            "listProviderCertificates",
            "What a provider hands on to all its requirers",
        )
        .may::<ReadTrust>()
        .answers::<wire::TrustCertificates>(200)
        .or(&[404]),
        Row::post(
            "/trust/providers/{provider}/offers",
            Call::OfferTrust,
            "offerTrust",
            "Change what a provider hands on, to all its requirers or in one relation",
        )
        .may::<OfferTrust>()
        .takes::<wire::NewTrustOffer>()
        .answers::<wire::TrustOffer>(200)
        .or(&[404, 409, 422]),
        Row::get(
            "/trust/certificates/{fingerprint}",
            Call::ExplainTrust,
            "explainTrust",
            "Where a certificate came from, and where it is",
        )
        .may::<ReadTrust>()
        .answers::<wire::TrustExplanation>(200)
        .or(&[404]),
    ]
}

fn requirers() -> Vec<Row> {
    vec![
        Row::get(
            "/trust/requirers",
            Call::TrustRequirers,
            "listTrustRequirers",
            "Who is to have certificates, a page at a time",
        )
        .may::<ReadTrust>()
        .query(PAGED)
        .answers::<Page<wire::TrustRequirer>>(200)
        .or(&[422]),
        Row::get(
            "/trust/requirers/{requirer}",
            Call::TrustRequirer,
            "getTrustRequirer",
            "A requirer of trust",
        )
        .may::<ReadTrust>()
        .answers::<wire::TrustRequirer>(200)
        .or(&[404]),
        Row::put(
            "/trust/requirers/{requirer}",
            Call::PutTrustRequirer,
            "putTrustRequirer",
            "Make a requirer of trust, or have its certificates put somewhere else",
        )
        .unconditional()
        .may::<ManageTrust>()
        .takes::<wire::NewTrustRequirer>()
        .answers::<wire::TrustRequirer>(200)
        .or(&[409, 422, 507]),
        Row::delete(
            "/trust/requirers/{requirer}",
            Call::DeleteTrustRequirer,
            "deleteTrustRequirer",
            "Have a requirer of trust go, once nothing is left in its places",
        )
        .unconditional()
        .may::<ManageTrust>()
        .query(REQUIRER_GOING)
        .or(&[404, 409]),
        Row::get(
            "/trust/requirers/{requirer}/bundle",
            Call::TrustBundle,
            "getTrustBundle",
            "All certificates that a requirer is to have",
        )
        .may::<ReadTrust>()
        .query(&[Parameter::Wait])
        .answers::<wire::TrustBundle>(200)
        .or(&[404]),
        Row::get(
            "/trust/requirers/{requirer}/bundle.pem",
            Call::TrustBundlePem,
            "getTrustBundlePem",
            "All certificates that a requirer is to have, as PEM",
        )
        .may::<ReadTrust>()
        .query(&[Parameter::Wait])
        .answers_text(wire::PEM)
        .or(&[404]),
        Row::get(
            "/trust/requirers/{requirer}/places",
            Call::TrustPlaces,
            "listTrustPlaces",
            "How it is with a requirer's places, a page at a time",
        )
        .may::<ReadTrust>()
        .query(PAGED)
        .answers::<Page<wire::TrustPlaceState>>(200)
        .or(&[404, 422]),
        Row::get(
            "/trust/requirers/{requirer}/history",
            Call::TrustHistory,
            "listTrustHistory",
            "What happened in a requirer's places, the oldest first, a page at a time",
        )
        .may::<ReadTrust>()
        .query(PAGED)
        .answers::<Page<wire::TrustPlaceEvent>>(200)
        .or(&[404, 422]),
        Row::post(
            "/trust/requirers/{requirer}/applied",
            Call::TrustApplied,
            "confirmTrust",
            "Say that one of a requirer's places has the bundle, is about to be given it, or could not be",
        )
        .may::<ReadTrust>()
        .takes::<wire::TrustApplied>()
        .answers_nothing()
        .or(&[404, 409, 422, 507]),
    ]
}

fn relations() -> Vec<Row> {
    vec![
        Row::get(
            "/trust/relations",
            Call::TrustRelations,
            "listTrustRelations",
            "Who provides trust for whom, a page at a time",
        )
        .may::<ReadTrust>()
        .query(RELATIONS)
        .answers::<Page<wire::TrustRelation>>(200)
        .or(&[422]),
        Row::post(
            "/trust/relations",
            Call::RelateTrust,
            "relateTrust",
            "Have a requirer have what a provider says",
        )
        .may::<ManageTrust>()
        .takes::<wire::NewTrustRelation>()
        .answers::<wire::TrustRelation>(200)
        .or(&[404, 409, 422, 507]),
        Row::get(
            "/trust/relations/{number}",
            Call::TrustRelation,
            "getTrustRelation",
            "That a requirer has what a provider says",
        )
        .may::<ReadTrust>()
        .answers::<wire::TrustRelation>(200)
        .or(&[404]),
        Row::delete(
            "/trust/relations/{number}",
            Call::UnrelateTrust,
            "unrelateTrust",
            "Have a requirer have nothing more of what a provider says",
        )
        .unconditional()
        .may::<ManageTrust>()
        .query(GOING)
        .or(&[404, 409]),
        Row::get(
            "/trust/relations/{number}/certificates",
            Call::RelationCertificates,
            "listRelationCertificates",
            "What a requirer has of a provider beside what all its requirers have",
        )
        .may::<ReadTrust>()
        .answers::<wire::TrustCertificates>(200)
        .or(&[404]),
    ]
}
