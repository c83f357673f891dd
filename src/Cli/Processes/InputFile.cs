using System;
using System.IO;
using Quietus.Cli.CommandLine;

namespace Quietus.Cli.Processes;

/// <summary>A file that a person names to be read.</summary>
internal static class InputFile
{
    /// <summary>Opens it; a usage error that says why not. A folder is called one.</summary>
    /// <param name="what">What it is, for the error.</param>
    /// <param name="path">Where it is.</param>
    /// <param name="nextStep">What to give instead.</param>
    public static FileStream Open(string what, string path, string nextStep)
    {
        try
        {
            return FileStatus.Of(path) is { IsFolder: true }
                ? throw new IOException($"'{path}' is a folder")
                : new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or ArgumentException
            or NotSupportedException)
        {
            throw CliException.Usage($"{what} cannot be read: {error.Message}", nextStep);
        }
    }
}
