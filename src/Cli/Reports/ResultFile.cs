using System;
using System.Collections.Generic;
using System.IO;
using System.Runtime.InteropServices;
using Quietus.Cli.CommandLine;
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
            if (FileKind.Of(path) is { IsRegular: false })
            {
                using var special = new FileStream(path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite);
                write(special);
            }
            else
            {
                Replace(target, write);
            }
        }
        catch (IOException) when (FileKind.Of(path) is { IsPipe: true })
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
            switch (FileKind.Of(path))
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

/// <summary>
/// What kind of file a path leads to, links followed. .NET does not tell devices and FIFOs from files.
/// </summary>
/// <param name="Mode">st_mode.</param>
/// <param name="Identity">The same for two names of one file.</param>
internal sealed record FileKind(int Mode, string Identity)
{
    // inode(7).
    private const int TypeMask = 0xF000;
    private const int Pipe = 0x1000;
    private const int Folder = 0x4000;
    private const int Regular = 0x8000;

    // struct statx is the same on every architecture: statx(2).
    private const int StatxBytes = 256;
    private const int ModeOffset = 28;
    private const int InodeOffset = 32;
    private const int DeviceOffset = 136;
    private const uint TypeAndInode = 0x101; // STATX_TYPE | STATX_INO
    private const int CurrentFolder = -100; // AT_FDCWD

    public bool IsRegular => (Mode & TypeMask) == Regular;

    public bool IsFolder => (Mode & TypeMask) == Folder;

    public bool IsPipe => (Mode & TypeMask) == Pipe;

    /// <summary>Null where there is no such file, or it cannot be seen.</summary>
    public static FileKind? Of(string path)
    {
        byte[] status = new byte[StatxBytes];
        return NativeMethods.Statx(CurrentFolder, path, 0, TypeAndInode, status) == 0
            ? new FileKind(
                BitConverter.ToUInt16(status, ModeOffset),
                $"{BitConverter.ToUInt64(status, DeviceOffset)}:{BitConverter.ToUInt64(status, InodeOffset)}")
            : null;
    }

    private static class NativeMethods
    {
        [DllImport("libc", EntryPoint = "statx")]
        [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
        public static extern int Statx(
            int folder, [MarshalAs(UnmanagedType.LPUTF8Str)] string path, int flags, uint mask, [Out] byte[] status);
    }
}
