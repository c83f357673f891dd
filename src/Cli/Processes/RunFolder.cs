using System;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Text;
using System.Threading;
using Quietus.Cli.CommandLine;

namespace Quietus.Cli.Processes;

/// <summary>
/// A folder for one run of this program, gone when it ends. It also names the children that were started, so that the
/// next run can end what a crashed one left behind where the kernel could not do it. It lies in the cache, which is the
/// user's own: no other user can write the names of processes into it.
/// </summary>
internal sealed class RunFolder : IDisposable
{
    private const string ChildrenFile = "children";
    private const string LockFile = "lock";
    private static readonly TimeSpan _youth = TimeSpan.FromMinutes(1);
    private readonly Lock _guard = new();
    private readonly FileStream _lock;

    /// <summary>Makes the folder, after having swept what earlier runs left.</summary>
    public RunFolder()
    {
        string runs = System.IO.Path.Combine(Folders.Cache, "runs");
        try
        {
            Directory.CreateDirectory(runs);
            Sweep(runs);
            Path = System.IO.Path.Combine(runs, System.IO.Path.GetRandomFileName());
            Directory.CreateDirectory(
                Path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
            _lock = TakeLock(Path, FileMode.CreateNew);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new CliException(
                ExitCode.Failed,
                $"the cache folder {Folders.Cache} cannot be written: {error.Message}",
                "set QUIETUS_CACHE to a folder that can");
        }
    }

    public string Path { get; }

    /// <summary>Notes a child: its process id and when it started, which together name it for good.</summary>
    public void Note(Process child)
    {
        lock (_guard)
        {
            File.AppendAllText(
                System.IO.Path.Combine(Path, ChildrenFile),
                string.Create(CultureInfo.InvariantCulture, $"{child.Id} {StartTicks(child.Id)}\n"));
        }
    }

    public void Dispose()
    {
        Remove(Path);
        _lock.Dispose();
    }

    /// <summary>
    /// Ends the children of runs that are gone, and removes their folders. A run lives as long as its lock is held.
    /// </summary>
    private static void Sweep(string runs)
    {
        foreach (string folder in Directory.GetDirectories(runs))
        {
            if (!File.Exists(System.IO.Path.Combine(folder, LockFile)))
            {
                // Either being made at this moment, or left half removed.
                if (DateTime.UtcNow - Directory.GetLastWriteTimeUtc(folder) > _youth)
                {
                    Remove(folder);
                }

                continue;
            }

            try
            {
                using FileStream taken = TakeLock(folder, FileMode.Open);
                EndChildren(System.IO.Path.Combine(folder, ChildrenFile));
                Remove(folder);
            }
            catch (Exception error) when (error is IOException or UnauthorizedAccessException)
            {
                // Its run is alive.
            }
        }
    }

    private static FileStream TakeLock(string folder, FileMode mode) =>
        new(System.IO.Path.Combine(folder, LockFile), mode, FileAccess.ReadWrite, FileShare.None);

    private static void EndChildren(string file)
    {
        if (!File.Exists(file))
        {
            return;
        }

        foreach (string[] words in File.ReadLines(file).Select(line => line.Split(' ')))
        {
            if (words.Length == 2
                && int.TryParse(words[0], NumberStyles.None, CultureInfo.InvariantCulture, out int id)
                && words[1].Length > 0
                && StartTicks(id) == words[1])
            {
                try
                {
                    Process.GetProcessById(id).Kill();
                }
                catch (Exception error) when (error is ArgumentException or InvalidOperationException
                    or System.ComponentModel.Win32Exception)
                {
                    // It has just ended by itself.
                }
            }
        }
    }

    /// <summary>
    /// Field 22 of /proc/PID/stat (proc(5)): the start time. The second field may hold spaces and parentheses, so the
    /// count starts at its last closing one.
    /// </summary>
    private static string StartTicks(int id)
    {
        try
        {
            string path = string.Create(CultureInfo.InvariantCulture, $"/proc/{id}/stat");
            string stat = File.ReadAllText(path, Encoding.UTF8);
            string[] fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
            return fields.Length > 19 ? fields[19] : string.Empty;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or ArgumentException)
        {
            return string.Empty;
        }
    }

    private static void Remove(string folder)
    {
        try
        {
            Directory.Delete(folder, recursive: true);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            // The next run's sweep will take it.
        }
    }
}
