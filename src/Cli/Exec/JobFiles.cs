using System;
using System.Collections.Generic;
using System.IO;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Jobs;
using Quietus.Cli.Monitoring;

namespace Quietus.Cli.Exec;

/// <summary>
/// Copies files and folders of this host into a VM and back, as <c>--copy-in</c> and <c>--copy-out</c> ask.
/// </summary>
internal static class JobFiles
{
    /// <summary>Copies each into the VM.</summary>
    public static async Task InAsync(
        IReadOnlyList<FileCopy> copies, JobClient client, CancellationToken cancellation)
    {
        foreach (FileCopy copy in copies)
        {
            if (copy.IsFolder)
            {
                await FolderCopy.InAsync(copy, client, cancellation).ConfigureAwait(false);
                continue;
            }

            await ReadAsync(copy, async (file, mode) =>
            {
                try
                {
                    await client.PutAsync(copy.To, mode, file, file.Length, cancellation).ConfigureAwait(false);
                }
                catch (JobException error)
                {
                    throw new CliException(ExitCode.Failed, $"--copy-in: {copy.To} in the guest: {error.Message}");
                }
            }).ConfigureAwait(false);
        }
    }

    /// <summary>Copies each out of the VM.</summary>
    public static async Task OutAsync(
        IReadOnlyList<FileCopy> copies, JobClient client, CancellationToken cancellation)
    {
        foreach (FileCopy copy in copies)
        {
            if (copy.IsFolder)
            {
                await FolderCopy.OutAsync(copy, client, cancellation).ConfigureAwait(false);
                continue;
            }

            await WriteAsync(copy, async file =>
            {
                try
                {
                    return await client.GetAsync(copy.From, file, FileCopy.MostBytes, cancellation)
                        .ConfigureAwait(false);
                }
                catch (JobException error)
                {
                    throw new CliException(ExitCode.Failed, $"--copy-out: {copy.From} in the guest: {error.Message}");
                }
            }).ConfigureAwait(false);
        }
    }

    /// <summary>Opens a file of this host to be copied in, and hands it on with its permission bits.</summary>
    public static async Task ReadAsync(FileCopy copy, Func<FileStream, uint, Task> use)
    {
        try
        {
            FileStream file = File.OpenRead(copy.From);
            await using (file.ConfigureAwait(false))
            {
                await use(file, (uint)File.GetUnixFileMode(file.SafeFileHandle)).ConfigureAwait(false);
            }
        }
        catch (Exception error) when (error is UnauthorizedAccessException or FileNotFoundException
            or EndOfStreamException)
        {
            throw new CliException(ExitCode.Failed, $"--copy-in {copy.From}: {error.Message}");
        }
    }

    /// <summary>Writes a file of this host, which is there when it is whole.</summary>
    /// <remarks>.NET calls a file that its file system cannot take (EFBIG) an argument out of range.</remarks>
    /// <param name="copy">Which.</param>
    /// <param name="fill">Writes it and returns its permission bits.</param>
    public static async Task WriteAsync(FileCopy copy, Func<Stream, Task<uint>> fill)
    {
        string part = copy.To + ".part";
        try
        {
            FileStream file = File.Create(part);
            await using (file.ConfigureAwait(false))
            {
                uint mode = await fill(file).ConfigureAwait(false);

                // No set-user-ID and the like from a guest.
                File.SetUnixFileMode(file.SafeFileHandle, (UnixFileMode)(mode & 0x1FF));
            }

            File.Move(part, copy.To, overwrite: true);
        }
        catch (Exception error) when (error is UnauthorizedAccessException or ArgumentOutOfRangeException
            || (error is IOException && error is not (GuestStreamException or JobProtocolException)))
        {
            throw new CliException(ExitCode.Failed, $"--copy-out: {copy.To} cannot be written: {error.Message}");
        }
        finally
        {
            File.Delete(part);
        }
    }
}
