//! The routes of the artifact cache.

use cache::{Maintain, Pin, ReadCatalog};
use wire::Page;

use super::{Call, PAGED, Parameter, Row};

const KEYS: &[Parameter] = &[Parameter::Limit, Parameter::After, Parameter::Key];
const ENTRIES: &[Parameter] = &[Parameter::Limit, Parameter::After, Parameter::Key, Parameter::Where];

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::get("/cache/artifacts", Call::Artifacts, "listArtifacts", "Artifacts, a page at a time")
            .may::<ReadCatalog>()
            .query(PAGED)
            .answers::<Page<wire::Artifact>>(200)
            .or(&[404, 422]),
        Row::get(
            "/cache/artifacts/{sha512}",
            Call::Artifact,
            "getArtifact",
            "An artifact, and what names it",
        )
        .may::<ReadCatalog>()
        .answers::<wire::ArtifactReport>(200)
        .or(&[404]),
        Row::post(
            "/cache/missing",
            Call::MissingArtifacts,
            "listMissingArtifacts",
            "Which of these artifacts are not there",
        )
        .may::<ReadCatalog>()
        .takes::<wire::ArtifactNames>()
        .answers::<wire::ArtifactNames>(200)
        .or(&[404, 422]),
        Row::get("/cache/keys", Call::EntryKeys, "listEntryKeys", "Keys that have entries, a page at a time")
            .may::<ReadCatalog>()
            .query(KEYS)
            .answers::<Page<wire::EntryKey>>(200)
            .or(&[404, 422]),
        Row::get("/cache/entries", Call::CacheEntries, "listEntries", "Entries, a page at a time")
            .may::<ReadCatalog>()
            .query(ENTRIES)
            .answers::<Page<wire::CacheEntry>>(200)
            .or(&[404, 422]),
        Row::get(
            "/cache/pins",
            Call::Pins,
            "listPins",
            "What stays, whatever the rules say, a page at a time",
        )
        .may::<ReadCatalog>()
        .query(PAGED)
        .answers::<Page<wire::Pin>>(200)
        .or(&[404, 422]),
        Row::put("/cache/pins/keys/{key}", Call::PinKey, "pinKey", "Keep all entries of a key")
            .unconditional()
            .may::<Pin>()
            .takes::<wire::NewPin>()
            .answers_nothing()
            .or(&[404, 422]),
        Row::delete(
            "/cache/pins/keys/{key}",
            Call::UnpinKey,
            "unpinKey",
            "Let the rules decide about a key again",
        )
        .unconditional()
        .may::<Pin>()
        .or(&[404]),
        Row::put("/cache/pins/artifacts/{sha512}", Call::PinArtifact, "pinArtifact", "Keep an artifact")
            .unconditional()
            .may::<Pin>()
            .takes::<wire::NewPin>()
            .answers_nothing()
            .or(&[404, 422]),
        Row::delete(
            "/cache/pins/artifacts/{sha512}",
            Call::UnpinArtifact,
            "unpinArtifact",
            "Let the rules decide about an artifact again",
        )
        .unconditional()
        .may::<Pin>()
        .or(&[404]),
        Row::post(
            "/cache/collections",
            Call::Collect,
            "collectArtifacts",
            "Remove what the rules do not keep; with `dry_run` only tell what that would be",
        )
        .may::<Maintain>()
        .takes::<wire::NewCollection>()
        .answers::<wire::Collection>(200)
        .or(&[404, 409]),
        Row::get("/cache/scrub", Call::Scrub, "getScrub", "How far artifacts were read again")
            .may::<Maintain>()
            .answers::<wire::Scrub>(200)
            .or(&[404]),
        Row::post(
            "/cache/scrub",
            Call::AskForScrub,
            "askForScrub",
            "Read all artifacts again now, as fast as they come; how far that is, is told where it is asked for",
        )
        .may::<Maintain>()
        .answers::<wire::Scrub>(200)
        .or(&[404]),
    ]
}
