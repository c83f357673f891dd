using System.IO;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Processes;

namespace Quietus.Cli.Guests;

/// <summary>A disk's contents for a guest: any file. It is read and never written; docs/devices.md.</summary>
internal static class DiskImage
{
    /// <summary>The hypervisor reads at most 2 GB of the archive that carries it.</summary>
    private const long Most = 1 << 30;

    private const string Next = "check the path given with --disk";

    /// <summary>Checks the file and returns its length; a usage error when it is empty or too large.</summary>
    public static long Check(string path)
    {
        using FileStream file = InputFile.Open("the disk", path, Next);
        if (!file.CanSeek)
        {
            throw CliException.Usage($"the disk {path} is no file with a length", Next);
        }

        return file.Length switch
        {
            0 => throw CliException.Usage($"the disk {path} is empty", Next),
            > Most => throw CliException.Usage(
                $"the disk {path} has {ByteSize.Format(file.Length)}, more than {ByteSize.Format(Most)}",
                "give a smaller one: it lies in memory"),
            _ => file.Length,
        };
    }
}
