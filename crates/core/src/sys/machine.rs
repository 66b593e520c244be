//! `sys/host-info`: the machine, as its kernel tells of it. What the kernel does not tell is zero
//! or empty.

use std::collections::BTreeMap;
use std::fs;

use serde::Serialize;

use super::disks::{Disk, disks};
use super::{Row, System};
use crate::error::Error;
use crate::reply::Reply;
use crate::request::Op;

/// Members of `memory` and their names in the kernel's table.
const MEMORY: [(&str, &str); 28] = [
    ("total", "MemTotal"),
    ("available", "MemAvailable"),
    ("free", "MemFree"),
    ("active", "Active"),
    ("inactive", "Inactive"),
    ("buffers", "Buffers"),
    ("cached", "Cached"),
    ("writeback", "Writeback"),
    ("dirty", "Dirty"),
    ("writebacktmp", "WritebackTmp"),
    ("shared", "Shmem"),
    ("slab", "Slab"),
    ("sreclaimable", "SReclaimable"),
    ("sunreclaim", "SUnreclaim"),
    ("pagetables", "PageTables"),
    ("swapcached", "SwapCached"),
    ("commitlimit", "CommitLimit"),
    ("committedas", "Committed_AS"),
    ("hightotal", "HighTotal"),
    ("highfree", "HighFree"),
    ("lowtotal", "LowTotal"),
    ("lowfree", "LowFree"),
    ("swaptotal", "SwapTotal"),
    ("swapfree", "SwapFree"),
    ("mapped", "Mapped"),
    ("vmalloctotal", "VmallocTotal"),
    ("vmallocused", "VmallocUsed"),
    ("vmallocchunk", "VmallocChunk"),
];

pub(super) fn rows() -> Vec<Row> {
    vec![Row::new(Op::Read, "host-info", "The machine.", |s, _| {
        Box::pin(s.host_info())
    })]
}

#[derive(Serialize)]
struct HostInfo {
    timestamp: String,
    cpu: Vec<Cpu>,
    cpu_times: Vec<CpuTimes>,
    disk: Vec<Disk>,
    host: Host,
    memory: BTreeMap<&'static str, u64>,
}

#[derive(Serialize, Default)]
#[serde(rename_all = "camelCase")]
struct Cpu {
    cpu: u64,
    vendor_id: String,
    family: String,
    model: String,
    stepping: u64,
    physical_id: String,
    core_id: String,
    cores: u64,
    model_name: String,
    mhz: f64,
    cache_size: u64,
    flags: Vec<String>,
    microcode: String,
}

#[derive(Serialize, Default)]
#[serde(rename_all = "camelCase")]
struct CpuTimes {
    cpu: String,
    user: f64,
    system: f64,
    idle: f64,
    nice: f64,
    iowait: f64,
    irq: f64,
    softirq: f64,
    steal: f64,
    guest: f64,
    guest_nice: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Host {
    hostname: String,
    uptime: u64,
    boot_time: u64,
    procs: usize,
    os: &'static str,
    kernel_version: String,
    kernel_arch: &'static str,
}

/// The name of the machine.
pub(super) fn hostname() -> String {
    kernel("sys/kernel/hostname")
}

impl System {
    async fn host_info(&self) -> Result<Reply, Error> {
        let now = self.vault.clock.now();
        let told = tokio::task::spawn_blocking(move || HostInfo {
            timestamp: now.rfc3339(),
            cpu: cpus(&kernel("cpuinfo")),
            cpu_times: cpu_times(&kernel("stat")),
            disk: disks(),
            host: host(now.secs()),
            memory: memory(&kernel("meminfo")),
        });
        let told = told
            .await
            .map_err(|_| Error::Bug("the machine was not read"))?;
        Reply::data(&told)
    }
}

/// A text of the kernel's; empty where there is none.
fn kernel(name: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{name}")).unwrap_or_default();
    text.trim_end().to_owned()
}

fn cpus(text: &str) -> Vec<Cpu> {
    let blocks = text.split("\n\n").filter(|block| !block.trim().is_empty());
    let cpu = |block: &str| {
        let members: BTreeMap<&str, &str> = block
            .lines()
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.trim(), value.trim()))
            .collect();
        let text = |name: &str| members.get(name).copied().unwrap_or_default();
        let number = |name: &str| text(name).split(' ').next()?.parse().ok();
        Cpu {
            cpu: number("processor").unwrap_or(0),
            vendor_id: text("vendor_id").to_owned(),
            family: text("cpu family").to_owned(),
            model: text("model").to_owned(),
            stepping: number("stepping").unwrap_or(0),
            physical_id: text("physical id").to_owned(),
            core_id: text("core id").to_owned(),
            cores: 1,
            model_name: text("model name").to_owned(),
            mhz: text("cpu MHz").parse().unwrap_or(0.0),
            cache_size: number("cache size").unwrap_or(0),
            flags: text("flags")
                .split_whitespace()
                .map(str::to_owned)
                .collect(),
            microcode: text("microcode").to_owned(),
        }
    };
    blocks.map(cpu).collect()
}

/// The kernel counts hundredths of a second.
fn cpu_times(text: &str) -> Vec<CpuTimes> {
    let all = text.lines().find_map(|line| line.strip_prefix("cpu "));
    let mut ticks = all
        .unwrap_or_default()
        .split_whitespace()
        .map(|n| n.parse::<f64>().unwrap_or(0.0) / 100.0);
    let mut next = || ticks.next().unwrap_or(0.0);
    vec![CpuTimes {
        cpu: "cpu-total".to_owned(),
        user: next(),
        nice: next(),
        system: next(),
        idle: next(),
        iowait: next(),
        irq: next(),
        softirq: next(),
        steal: next(),
        guest: next(),
        guest_nice: next(),
    }]
}

fn host(now: u64) -> Host {
    let uptime = kernel("uptime");
    let uptime = uptime.split('.').next().and_then(|n| n.parse().ok());
    let uptime: u64 = uptime.unwrap_or(0);
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let is_process = |name: &str| name.bytes().all(|b| b.is_ascii_digit());
    Host {
        hostname: hostname(),
        uptime,
        boot_time: now.saturating_sub(uptime),
        procs: processes
            .filter(|entry| entry.file_name().to_str().is_some_and(is_process))
            .count(),
        os: std::env::consts::OS,
        kernel_version: kernel("sys/kernel/osrelease"),
        kernel_arch: std::env::consts::ARCH,
    }
}

/// Bytes.
fn memory(text: &str) -> BTreeMap<&'static str, u64> {
    let value = |name: &str| {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let number = line?.split_whitespace().next()?;
        Some(number.parse::<u64>().ok()?.saturating_mul(1024))
    };
    let told = MEMORY
        .iter()
        .map(|(name, of)| (*name, value(of).unwrap_or(0)));
    let mut memory: BTreeMap<_, _> = told.collect();
    let total = value("MemTotal").unwrap_or(0);
    memory.insert(
        "used",
        total.saturating_sub(value("MemAvailable").unwrap_or(0)),
    );
    memory
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_the_kernel() {
        let cpus = cpus("processor\t: 0\nmodel name\t: A\ncpu MHz\t: 12.5\n\nprocessor\t: 1\n");
        assert_eq!((cpus.len(), cpus[1].cpu, cpus[0].mhz), (2, 1, 12.5));
        let times = cpu_times("cpu  100 0 250\ncpu0 1 1 1\n");
        assert_eq!((times[0].user, times[0].system), (1.0, 2.5));
        let memory = memory("MemTotal:  10 kB\nMemAvailable: 4 kB\nHugePages_Total: 0\n");
        assert_eq!((memory["total"], memory["used"]), (10_240, 6_144));
        assert_eq!(memory["slab"], 0);
    }
}
