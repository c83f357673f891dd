using System;
using System.IO;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Processes;

namespace Quietus.Cli.Exec;

/// <summary>A file or folder that goes into the VM before the program starts, or out of it after its end.</summary>
/// <param name="From">Its path where it comes from.</param>
/// <param name="To">Its path where it goes to.</param>
internal sealed record FileCopy(string From, string To)
{
    /// <summary>It is a folder, with all that is in it.</summary>
    public bool IsFolder { get; init; }

    /// <summary>Bytes of a file that comes out at most: a guest says what it likes.</summary>
    public const long MostBytes = 4 * ByteSize.Gigabyte;

    /// <summary>
    /// Reads SRC:DST of <c>--copy-in</c>: a file or folder of this host, an absolute path of the guest.
    /// </summary>
    public static FileCopy ReadIn(string text)
    {
        FileCopy copy = Read(text, "--copy-in");
        CheckGuest(copy.To, "--copy-in");
        return FileStatus.Of(copy.From) is { } status
            ? status.IsRegular || status.IsFolder
                ? copy with { IsFolder = status.IsFolder }
                : throw CliException.Usage(
                    $"--copy-in takes files and folders, and '{copy.From}' is none",
                    "send what it gives through standard input")
            : throw CliException.Usage($"--copy-in: there is no file '{copy.From}'", "check the path before the colon");
    }

    /// <summary>
    /// Reads SRC:DST of <c>--copy-out</c>: an absolute path of the guest, a file of this host; or a folder of the
    /// guest, which ends in /, and a place of this host where nothing is yet.
    /// </summary>
    public static FileCopy ReadOut(string text)
    {
        FileCopy copy = Read(text, "--copy-out");
        CheckGuest(copy.From, "--copy-out");
        copy = copy with { IsFolder = copy.From.EndsWith('/') };
        string folder = Path.GetDirectoryName(Path.GetFullPath(copy.To).TrimEnd('/')) ?? "/";
        if (copy.IsFolder && FileStatus.Of(copy.To) is not null)
        {
            throw CliException.Usage(
                $"--copy-out: '{copy.To}' is there already", "name a folder that is not there yet, after the colon");
        }

        return FileStatus.Of(folder) is { IsFolder: true } && FileStatus.Of(copy.To) is null or { IsRegular: true }
            ? copy
            : throw CliException.Usage(
                $"--copy-out cannot write '{copy.To}'", "name a file in a folder that is there, after the colon");
    }

    private static FileCopy Read(string text, string option)
    {
        int colon = text.LastIndexOf(':');
        return colon > 0 && colon < text.Length - 1
            ? new FileCopy(text[..colon], text[(colon + 1)..])
            : throw CliException.Usage($"'{text}' names no two files", $"{option} takes SOURCE:DESTINATION");
    }

    private static void CheckGuest(string path, string option)
    {
        if (!path.StartsWith('/'))
        {
            throw CliException.Usage(
                $"{option}: the guest's path '{path}' does not begin with /", "give the whole path in the guest");
        }
    }
}
