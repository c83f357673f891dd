using System;
using System.IO;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Images;
using Quietus.Cli.Jobs;
using Quietus.Cli.Processes;
using Quietus.Cli.Templates;
using Quietus.Cli.Terminals;
using Quietus.Wire;

namespace Quietus.Cli.Exec;

/// <summary>
/// Copies a folder into a VM or out of it, as an archive through a program of ours there. What comes out is read as an
/// image is, with the same bounds, before any of it is written to this host.
/// </summary>
internal static class FolderCopy
{
    private const int MostErrors = 4096;

    /// <summary>
    /// Copies what is in a folder of this host into one of the guest, which is made where it is not there.
    /// </summary>
    public static async Task InAsync(FileCopy copy, JobClient client, CancellationToken cancellation)
    {
        FileStream archive = Temporary();
        await using (archive.ConfigureAwait(false))
        {
            try
            {
                var tree = new ImageTree(ImageLimits.Standard);
                new FolderImage(tree, ImageLimits.Standard).Read(copy.From);
                ImageArchive.Write(tree, archive);
            }
            catch (ImageException error)
            {
                throw new CliException(ExitCode.Failed, $"--copy-in {copy.From}: {error.Message}");
            }

            archive.Position = 0;
            const string Unpack = "b=$0; $b mkdir -p \"$1\" && cd \"$1\" && exec $b cpio -i -d -m -u";
            await RunAsync(client, ["sh", "-c", Unpack, JobGuest.Busybox, copy.To], archive, Stream.Null, cancellation)
                .ConfigureAwait(false);
        }
    }

    /// <summary>Copies a folder of the guest to where this host has nothing yet.</summary>
    public static async Task OutAsync(FileCopy copy, JobClient client, CancellationToken cancellation)
    {
        FileStream archive = Temporary();
        await using (archive.ConfigureAwait(false))
        {
            var bounded = new BoundedOutput(archive, 2 * ImageLimits.Standard.MostBytes, isAll: true);
            await RunAsync(client, ["tar", "-c", "-f", "-", "-C", copy.From, "."], null, bounded, cancellation)
                .ConfigureAwait(false);
            archive.Position = 0;
            string folder = Path.GetDirectoryName(Path.GetFullPath(copy.To)) ?? "/";
            try
            {
                using var spool = new ContentSpool(folder, ImageLimits.Standard.MostBytes);
                var tree = new ImageTree(ImageLimits.Standard);
                tree.BeginLayer();
                new TarLayer(tree, spool, ImageLimits.Standard).Read(archive, hasWhiteouts: false);
                FolderWriter.Write(tree, copy.To.TrimEnd('/'));
            }
            catch (ImageException error)
            {
                throw new CliException(ExitCode.Failed, $"--copy-out: {copy.From} in the guest: {error.Message}");
            }
            catch (Exception error) when (error is IOException or UnauthorizedAccessException)
            {
                throw new CliException(ExitCode.Failed, $"--copy-out: {copy.To} cannot be written: {error.Message}");
            }
        }
    }

    private static async Task RunAsync(
        JobClient client, string[] arguments, Stream? input, Stream output, CancellationToken cancellation)
    {
        var told = new MemoryStream();
        var order = new JobOrder { Arguments = [JobGuest.Busybox, .. arguments] };
        JobExit exit = await client.RunAsync(
            order, input, output, new BoundedOutput(told, MostErrors, isAll: false), started: null, cancellation)
            .ConfigureAwait(false);
        if (exit.IsSignal || exit.Value != 0)
        {
            throw new CliException(
                ExitCode.Failed, "a folder cannot be copied: "
                    + Printable.Line(Encoding.UTF8.GetString(told.ToArray()).Trim()));
        }
    }

    /// <summary>A file without a name, beside what this process keeps for the run.</summary>
    private static FileStream Temporary() => new(
        Path.Combine(Path.GetTempPath(), Path.GetRandomFileName()),
        new FileStreamOptions
        {
            Mode = FileMode.CreateNew,
            Access = FileAccess.ReadWrite,
            Options = FileOptions.DeleteOnClose | FileOptions.Asynchronous,
            UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
        });

    /// <summary>Takes so many bytes. What comes after them is an error where all is wanted, else dropped.</summary>
    private sealed class BoundedOutput(Stream inner, long most, bool isAll) : WriteOnlyStream
    {
        private long _taken;

        public override async ValueTask WriteAsync(
            ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
        {
            long left = most - _taken;
            if (buffer.Length > left && isAll)
            {
                throw new CliException(ExitCode.Failed, $"the guest's folder has more than {most} bytes");
            }

            int length = (int)Math.Min(buffer.Length, left);
            _taken += length;
            await inner.WriteAsync(buffer[..length], cancellationToken).ConfigureAwait(false);
        }
    }
}
