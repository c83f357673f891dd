using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Reflection;
using System.Threading.Tasks;

namespace Quietus.Analyzers.Tests;

/// <summary>The folder that these tests were built from.</summary>
internal static class Repository
{
    /// <summary>The folder with the solution, as the build wrote it down.</summary>
    public static string Root { get; } = typeof(Repository).Assembly
        .GetCustomAttributes<AssemblyMetadataAttribute>()
        .Single(entry => entry.Key == "RepositoryRoot")
        .Value!;

    /// <summary>The project's files, those that git knows or would add, as paths from the root.</summary>
    public static IReadOnlyList<string> Files { get; } = ListFiles();

    /// <summary>Runs a program to its end.</summary>
    /// <returns>Its exit code, and what it wrote to both its outputs.</returns>
    public static (int Code, string Output) Run(string folder, string program, params string[] arguments)
    {
        var start = new ProcessStartInfo(program, arguments)
        {
            WorkingDirectory = folder,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            RedirectStandardInput = true,
        };
        using Process process = Process.Start(start)!;
        process.StandardInput.Close();
        Task<string> errors = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output + errors.GetAwaiter().GetResult());
    }

    private static string[] ListFiles()
    {
        // A source archive has no .git: then every file counts that no output folder holds. In a worktree it is a file.
        (int code, string output) = Path.Exists(Path.Combine(Root, ".git"))
            ? Run(Root, "git", "ls-files", "--cached", "--others", "--exclude-standard")
            : Run(Root, "find", ".", "-type", "f", "-not", "-path", "*/artifacts/*", "-not", "-path", "*/bin/*",
                "-not", "-path", "*/obj/*", "-printf", "%P\n");
        if (code != 0)
        {
            throw new InvalidOperationException($"the files cannot be listed: {output}");
        }

        string[] files = output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        return [.. files.Where(path => File.Exists(Path.Combine(Root, path)))];
    }
}
