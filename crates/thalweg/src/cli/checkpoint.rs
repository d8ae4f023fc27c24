//! `thalweg checkpoint`: what a data directory's checkpoints are, and whether every byte of them is whole. It reads only,
//! and must not know what state means.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use chrono::{DateTime, SecondsFormat};
use clap::{Args, Subcommand};
use serde_json::json;
use thalweg_disk::LocalDisk;
use thalweg_store::checkpoint::{BucketOptions, BucketShelf, DiskShelf, Manifest, Shelf, Surveyed, survey, verify};

use super::top::bytes;

/// Flags of `checkpoint`.
#[derive(Args, Debug)]
#[command(after_help = "It changes nothing, and may be used while the server runs.

Examples:
  thalweg checkpoint list --data ./data             epoch, time, jobs and size of each, newest first
  thalweg checkpoint verify --data ./data           reads all of it; exit code 1 if anything is damaged
  thalweg checkpoint list --state-store s3://bucket/thalweg --state-store-region eu-central-1
                                                    those of a bucket; keys are in AWS_ACCESS_KEY_ID and
                                                    AWS_SECRET_ACCESS_KEY")]
pub(crate) struct CheckpointArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Lists the checkpoints, newest first
    List(Of),
    /// Reads every byte of every checkpoint and compares checksums
    Verify(Of),
}

#[derive(Args, Debug)]
struct Of {
    /// The server's data directory
    #[arg(long, value_name = "DIR", env = "THALWEG_DATA", required_unless_present = "state_store")]
    data: Option<PathBuf>,
    #[command(flatten)]
    bucket: Bucket,
    /// Prints one JSON object a checkpoint
    #[arg(long)]
    json: bool,
}

/// As `thalweg serve` has them.
#[derive(Args, Debug)]
struct Bucket {
    /// Bucket in which the server keeps its checkpoints
    #[arg(long, value_name = "URL", env = "THALWEG_STATE_STORE")]
    state_store: Option<String>,
    /// Where the object store is, if it is not AWS
    #[arg(long, value_name = "URL", env = "THALWEG_STATE_STORE_ENDPOINT")]
    state_store_endpoint: Option<String>,
    /// Region of the bucket
    #[arg(long, value_name = "NAME", env = "THALWEG_STATE_STORE_REGION")]
    state_store_region: Option<String>,
    /// The endpoint may be http://
    #[arg(long, env = "THALWEG_STATE_STORE_ALLOW_HTTP")]
    state_store_allow_http: bool,
    /// The bucket is in the host's name
    #[arg(long, env = "THALWEG_STATE_STORE_VIRTUAL_HOST")]
    state_store_virtual_host: bool,
}

impl Of {
    fn shelf(&self) -> Result<Box<dyn Shelf>> {
        let of = &self.bucket;
        if let Some(url) = &of.state_store {
            let options = BucketOptions {
                endpoint: of.state_store_endpoint.clone(),
                region: of.state_store_region.clone(),
                allow_http: of.state_store_allow_http,
                virtual_host: of.state_store_virtual_host,
                ..BucketOptions::default()
            };
            return Ok(Box::new(BucketShelf::look(url, &options)?));
        }
        let data = self.data.as_deref().context("--data or --state-store is needed")?;
        if !data.join("checkpoints").is_dir() {
            let what = "name the directory that `thalweg serve --data` was given, or its --state-store";
            bail!("{} has no checkpoints; {what}", data.display());
        }
        Ok(Box::new(DiskShelf::open(Arc::new(LocalDisk::open(data)?), "checkpoints", 0)?))
    }
}

pub(crate) fn checkpoint(args: &CheckpointArgs) -> Result<ExitCode> {
    let (of, reads_all) = match &args.what {
        What::List(of) => (of, false),
        What::Verify(of) => (of, true),
    };
    let shelf = of.shelf()?;
    let found = survey(shelf.as_ref())?;
    let mut damaged = 0;
    if !of.json {
        println!(
            "{:>12}  {:<20}  {:>6}  {:>5}  {:>6}  {:>10}  STATUS",
            "EPOCH", "TIME", "START", "JOBS", "FILES", "STATE"
        );
    }
    for checkpoint in &found {
        let mut wrong: Vec<String> = checkpoint.manifest.as_ref().err().map(ToString::to_string).into_iter().collect();
        if reads_all {
            match verify(shelf.as_ref(), checkpoint)? {
                Some(errors) => wrong.extend(errors.iter().map(ToString::to_string)),
                // The server has removed it meanwhile.
                None => continue,
            }
        }
        damaged += usize::from(!wrong.is_empty());
        println!(
            "{}",
            if of.json { as_json(checkpoint, reads_all, &wrong) } else { as_line(checkpoint, reads_all, &wrong) }
        );
    }
    if found.is_empty() && !of.json {
        println!("none yet");
    }
    Ok(if damaged == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn as_line(checkpoint: &Surveyed, was_read: bool, wrong: &[String]) -> String {
    let status = match (wrong, was_read) {
        ([], true) => "whole".to_owned(),
        ([], false) => "manifest whole".to_owned(),
        (wrong, _) => format!("DAMAGED: {}", wrong.join("; ")),
    };
    match &checkpoint.manifest {
        Ok(m) => {
            let (jobs, files, state) = (m.jobs.len(), m.files().len(), bytes(m.bytes() as f64));
            format!(
                "{:>12}  {:<20}  {:>6}  {jobs:>5}  {files:>6}  {state:>10}  {status}",
                m.epoch,
                time(m),
                m.incarnation
            )
        }
        Err(_) => format!("{}  {status}", checkpoint.name),
    }
}

fn as_json(checkpoint: &Surveyed, was_read: bool, wrong: &[String]) -> String {
    let mut of = json!({ "manifest": checkpoint.name, "errors": wrong, "read": was_read });
    if let Ok(m) = &checkpoint.manifest {
        of["epoch"] = m.epoch.into();
        of["time"] = time(m).into();
        of["start"] = m.incarnation.into();
        of["jobs"] = m.jobs.len().into();
        of["files"] = m.files().into_iter().collect::<Vec<_>>().into();
        of["state_bytes"] = m.bytes().into();
    }
    of.to_string()
}

/// The epoch's `now()`.
fn time(manifest: &Manifest) -> String {
    DateTime::from_timestamp_micros(manifest.wall_clock)
        .map_or_else(String::new, |at| at.to_rfc3339_opts(SecondsFormat::Secs, true))
}
