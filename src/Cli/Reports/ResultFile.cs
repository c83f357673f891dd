using System;
using System.Collections.Generic;
using System.IO;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Processes;
using Quietus.Cli.Terminals;

namespace Quietus.Cli.Reports;

/// <summary>
/// A file with a result. What replaces a regular file is written beside it and renamed, whole or not at all; links are
/// followed, and a device or a FIFO is written as it is. <c>-</c> is stdout.
/// </summary>
internal static class ResultFile
{
    private const string Choose = "choose another file";

    /// <summary>Whether a path is stdout.</summary>
    public static bool IsStandardOutput(string? path) =>
        path is "-" or "/dev/stdout" or "/dev/fd/1" or "/proc/self/fd/1";

    /// <summary>
    /// A usage error where something cannot be written, or two are written to one file. It changes nothing.
    /// </summary>
    public static void Check(IReadOnlyList<(string Option, string Path)> outputs)
    {
        Dictionary<string, string> options = [];
        foreach ((string option, string path) in outputs)
        {
            string identity = IsStandardOutput(path) ? "-" : CheckOne(option, path);
            if (!options.TryAdd(identity, option))
            {
                throw CliException.Usage(
                    $"{options[identity]} and {option} both write to '{path}'", "give each a file of its own");
            }
        }
    }

    /// <summary>Writes a result, and says so where it went to a file.</summary>
    public static void Write(string path, Action<Stream> write)
    {
        if (IsStandardOutput(path))
        {
            using Stream output = StandardStreams.OpenOutput();
            write(output);
            return;
        }

        try
        {
            string target = Target(path);
            if (FileStatus.Of(path) is { IsRegular: false })
            {
                using var special = new FileStream(path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite);
                write(special);
            }
            else
            {
                Replace(target, write);
            }
        }
        catch (IOException) when (FileStatus.Of(path) is { IsPipe: true })
        {
            // Its reader has seen enough.
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new CliException(
                ExitCode.Failed, $"'{path}' could not be written: {error.Message}", "run again with another file");
        }

        Notice.Write("wrote " + path);
    }

    private static void Replace(string target, Action<Stream> write)
    {
        string temporary = target + ".part";
        try
        {
            using (FileStream file = File.Create(temporary))
            {
                write(file);
            }

            if (File.Exists(target))
            {
                File.SetUnixFileMode(temporary, File.GetUnixFileMode(target));
            }

            File.Move(temporary, target, overwrite: true);
        }
        finally
        {
            DeleteQuietly(temporary);
        }
    }

    /// <summary>The file behind all links; it need not exist.</summary>
    private static string Target(string path)
    {
        string full = Path.GetFullPath(path);
        return new FileInfo(full).LinkTarget is null
            ? full
            : File.ResolveLinkTarget(full, returnFinalTarget: true)?.FullName ?? full;
    }

    private static string CheckOne(string option, string path)
    {
        try
        {
            switch (FileStatus.Of(path))
            {
                case { IsFolder: true }:
                    throw CliException.Usage($"{option}: '{path}' is a folder", "give the name of a file");
                case { IsRegular: false } special:
                    return special.Identity;
                case { } regular:
                    using (new FileStream(path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite))
                    {
                    }

                    return regular.Identity;
                default:
                    string target = Target(path);
                    using (new FileStream(target, FileMode.CreateNew, FileAccess.Write))
                    {
                    }

                    File.Delete(target);
                    return target;
            }
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or ArgumentException
            or NotSupportedException)
        {
            throw CliException.Usage($"{option}: '{path}' cannot be written: {error.Message}", Choose);
        }
    }

    /// <summary>
    /// Takes a half-written file away; where that fails too, the first failure is the one to tell of.
    /// </summary>
    private static void DeleteQuietly(string file)
    {
        try
        {
            File.Delete(file);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
        }
    }
}
