using System;
using System.IO;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Processes;

namespace Quietus.Cli.Guests;

/// <summary>
/// What a VM runs: the filler, which is inside the hypervisor's image, or Linux, whose kernel and RAM disk are packed
/// for the hypervisor. Everything is checked here, before any machine is started.
/// </summary>
internal sealed record GuestPayload
{
    public const string Filler = "filler";
    public const string Linux = "linux";

    /// <summary>What Linux needs beside its image and RAM disk to come up: Debian's 6.1 boots in 64 MB.</summary>
    private const long LinuxWorkingMemory = 16 * ByteSize.Megabyte;

    /// <summary>The guest's name in the protocol: filler or linux.</summary>
    public required string Name { get; init; }

    /// <summary>For people: which kernel it is.</summary>
    public required string Description { get; init; }

    /// <summary>The kernel; null for the filler.</summary>
    public KernelImage? Kernel { get; init; }

    /// <summary>It is the kernel and RAM disk of the cache, whose command line is ours to complete.</summary>
    public bool IsBundled { get; init; }

    /// <summary>What a person should know of files that are taken as they are; null when there is nothing.</summary>
    public string? Note { get; init; }

    public string? Initrd { get; init; }

    /// <summary>What is on the guest's disk; null for no disk.</summary>
    public string? Disk { get; init; }

    /// <summary>The least memory a VM needs for it, in bytes.</summary>
    public required long LeastMemory { get; init; }

    /// <summary>
    /// Bytes of kernel, RAM disk and disk, which the machine holds beside the VM's memory; of the disk twice: as it
    /// came, and as the VM has it.
    /// </summary>
    public long PayloadBytes { get; init; }

    /// <summary>The guest in the image, which needs nothing.</summary>
    public static GuestPayload MakeFiller() => new()
    {
        Name = Filler,
        Description = "filler (embedded)",
        LeastMemory = 16 * ByteSize.Megabyte,
    };

    /// <summary>Linux from the cache, or from the files given; a usage error when they are no good.</summary>
    /// <param name="kernel">Path of a kernel, or null for the cached one.</param>
    /// <param name="initrd">Path of a RAM disk, or null: then the cached one, or none beside a given kernel.</param>
    /// <param name="disk">Path of what is on its disk, or null for no disk.</param>
    public static GuestPayload MakeLinux(string? kernel, string? initrd, string? disk = null)
    {
        long diskBytes = disk is null ? 0 : DiskImage.Check(disk);
        string version = kernel ?? string.Empty;
        bool isBundled = kernel is null && initrd is null;
        if (kernel is null)
        {
            LinuxGuest cached = LinuxGuest.Cached() ?? throw CliException.NotSupported(
                $"there is no Linux guest in {Folders.Cache}",
                "run ./quietus run with a network to fetch it, or use --guest filler");
            kernel = cached.Kernel;
            initrd ??= cached.Initrd;
            version = cached.Version;
        }

        KernelImage image = KernelImage.Check(kernel);
        bool isArchive = true;
        long initrdBytes = initrd is null ? 0 : InitialRamDisk.Check(initrd, out isArchive);
        return new GuestPayload
        {
            Name = Linux,
            Description = version,
            Kernel = image,
            IsBundled = isBundled,
            Initrd = initrd,
            Disk = disk,
            LeastMemory = image.IsFlat
                ? Math.Max(16 * ByteSize.Megabyte, 2 * (image.MemoryBytes + initrdBytes + (4 * ByteSize.Megabyte)))
                : image.MemoryBytes + (2 * initrdBytes) + LinuxWorkingMemory,
            PayloadBytes = image.FileBytes + initrdBytes + (2 * diskBytes),
            Note = image.IsFlat
                ? $"{kernel} has no Linux header: it runs as a flat image at 0x40080000"
                : isArchive ? null : $"{initrd} is neither a cpio archive nor compressed; the guest gets it as it is",
        };
    }

    /// <summary>A usage error when a VM of this size cannot hold the guest.</summary>
    public void CheckFits(long memoryBytes)
    {
        if (memoryBytes < LeastMemory)
        {
            long whole = (LeastMemory + ByteSize.Megabyte - 1) / ByteSize.Megabyte * ByteSize.Megabyte;
            throw CliException.Usage(
                $"{ByteSize.Format(memoryBytes)} are too little for this {Name} guest",
                $"give it at least --memory {ByteSize.FormatOption(whole)}");
        }
    }

    /// <summary>Packs the guest into an archive in this folder and returns its path; null for the filler.</summary>
    public string? Pack(string folder)
    {
        if (Kernel is null)
        {
            return null;
        }

        string path = Path.Combine(folder, "guests.cpio");
        try
        {
            using FileStream file = File.Create(path);
            var archive = new CpioWriter(file);
            using (Stream content = Kernel.Open())
            {
                archive.Add("linux/Image", content, Kernel.FileBytes);
            }

            if (Initrd is not null)
            {
                archive.AddFile("linux/initrd", Initrd);
            }

            if (Disk is not null)
            {
                archive.AddFile("linux/disk", Disk);
            }

            archive.Finish();
            return path;
        }
        catch (IOException error)
        {
            throw new CliException(
                ExitCode.Failed, $"the guest cannot be packed: {error.Message}", $"make room in {folder}");
        }
    }
}
