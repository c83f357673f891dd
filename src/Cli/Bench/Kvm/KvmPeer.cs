using System;
using System.IO;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Quietus.Cli.Processes;

namespace Quietus.Cli.Bench.Kvm;

/// <summary>What a KVM host is made of here: Debian's kernel, and the probe as its first process.</summary>
internal sealed record KvmPeer
{
    private readonly LinuxGuest _linux;
    private readonly string _probe;

    private KvmPeer(LinuxGuest linux, string probe)
    {
        _linux = linux;
        _probe = probe;
    }

    /// <summary>The kernel's file.</summary>
    public string Kernel => _linux.Kernel;

    /// <summary>The package that it is from.</summary>
    public string Package => _linux.Version;

    /// <summary>SHA-256 of the probe's ELF file, in lower-case hex.</summary>
    public string ProbeSha256 => FileHash.Sha256(_probe);

    /// <summary>Finds kernel and probe; an error says how to get what is missing.</summary>
    /// <param name="command">The command that gets them.</param>
    public static KvmPeer Find(string command)
    {
        LinuxGuest linux = LinuxGuest.Cached() ?? throw CliException.NotSupported(
            $"there is no Linux kernel in {Folders.Cache} to run KVM with",
            $"run {command} once with a network: it fetches Debian's");
        KernelImage.Check(linux.Kernel);
        return File.Exists(Folders.KvmProbe)
            ? new KvmPeer(linux, Folders.KvmProbe)
            : throw CliException.NotSupported(
                $"the probe {Folders.KvmProbe} has not been built", $"{command} builds it");
    }

    /// <summary>Makes the initial RAM disk in a folder: the probe, and nothing else. Its path.</summary>
    public string Pack(string folder)
    {
        string path = Path.Combine(folder, "kvm-probe.cpio");
        using FileStream file = File.Create(path);
        var archive = new CpioWriter(file);
        archive.AddFile("init", _probe, isProgram: true);
        archive.Finish();
        return path;
    }
}
