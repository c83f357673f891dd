using System;
using System.IO;
using Quietus.Cli.CommandLine;

namespace Quietus.Cli.Reports;

/// <summary>A file with a result.</summary>
internal static class ResultFile
{
    /// <summary>Whole or not at all: what was there before stays until the new file is complete.</summary>
    public static void Write(string path, Action<Stream> write)
    {
        string full = Path.GetFullPath(path);
        if (File.Exists(full) && (File.GetAttributes(full) & FileAttributes.Device) != 0)
        {
            using FileStream device = File.OpenWrite(full);
            write(device);
            return;
        }

        string temporary = full + ".part";
        try
        {
            using (FileStream file = File.Create(temporary))
            {
                write(file);
            }

            File.Move(temporary, full, overwrite: true);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            DeleteQuietly(temporary);
            throw new CliException(
                ExitCode.Failed, $"'{path}' could not be written: {error.Message}", "run again with another file");
        }

        Console.Error.WriteLine("quietus: wrote " + path);
    }

    /// <summary>
    /// Takes the half-written file away; where that fails too, the first failure is the one to tell of.
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
