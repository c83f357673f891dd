using System;
using System.IO;
using System.Security.Cryptography;

namespace Quietus.Cli.Processes;

/// <summary>What tells one build of a file from another: results say by it what they were measured on.</summary>
internal static class FileHash
{
    /// <summary>SHA-256 of a file, in lower-case hex.</summary>
    public static string Sha256(string path) => Convert.ToHexStringLower(SHA256.HashData(File.ReadAllBytes(path)));
}
