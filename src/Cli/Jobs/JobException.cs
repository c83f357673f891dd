using System;
using System.Text;
using Quietus.Wire;

namespace Quietus.Cli.Jobs;

/// <summary>The agent could not carry an order out.</summary>
internal sealed class JobException(JobFailed failed)
    : Exception(Encoding.UTF8.GetString(JobFailed.Explain(failed.What)) + Reason(failed.Errno))
{
    /// <summary>What failed.</summary>
    public JobFailure What => failed.What;

    /// <summary>Why, by arm64 Linux's numbers; 0 where there is none.</summary>
    public uint Errno => failed.Errno;

    private static string Reason(uint errno) => errno switch
    {
        0 => string.Empty,
        1 => ": operation not permitted",
        2 => ": no such file or directory",
        7 => ": argument list too long",
        8 => ": not an executable file",
        11 => ": resource temporarily unavailable",
        12 => ": out of memory",
        13 => ": permission denied",
        20 => ": not a directory",
        21 => ": is a directory",
        26 => ": text file busy",
        28 => ": no space left on device",
        30 => ": read-only file system",
        36 => ": file name too long",
        40 => ": too many levels of symbolic links",
        _ => $" (errno {errno})",
    };
}
