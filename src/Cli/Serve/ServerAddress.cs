using System;
using System.IO;
using System.Linq;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Processes;

namespace Quietus.Cli.Serve;

/// <summary>Where a server listens: a socket in the file system, or a TCP port of this host.</summary>
/// <param name="Socket">The socket's path; null for TCP.</param>
/// <param name="Port">The port of this host; null for a socket.</param>
internal sealed record ServerAddress(string? Socket, IPEndPoint? Port)
{
    private const string Unix = "unix:";
    private const int LongestPath = 107; // sockaddr_un, unix(7)
    private const int LeastToken = 16;

    /// <summary>Where <c>serve</c> listens and <c>exec</c> looks when neither is told: in the cache folder.</summary>
    public static string StandardSocket => Path.Combine(Folders.Cache, "serve.sock");

    /// <summary>Reads unix:PATH or 127.0.0.1:PORT.</summary>
    public static ServerAddress Read(string text)
    {
        if (text.StartsWith(Unix, StringComparison.Ordinal) && text.Length > Unix.Length)
        {
            string path = Path.GetFullPath(text[Unix.Length..]);
            return Encoding.UTF8.GetByteCount(path) <= LongestPath
                ? new ServerAddress(path, null)
                : throw CliException.Usage(
                    $"the path of a socket has at most {LongestPath} bytes, and {path} has more", "name a shorter one");
        }

        return text.Contains(':', StringComparison.Ordinal) && IPEndPoint.TryParse(text, out IPEndPoint? port)
                && IPAddress.IsLoopback(port.Address)
            ? new ServerAddress(null, port)
            : throw CliException.Usage(
                $"'{text}' is no server's address", "write unix:PATH, or 127.0.0.1:PORT: this host's own");
    }

    /// <summary>The first line of a file, which a client on TCP has to show.</summary>
    public static string ReadToken(string file)
    {
        using FileStream stream = InputFile.Open("the token", file, "check the path given with --token-file");
        using var reader = new StreamReader(stream);
        string token = reader.ReadLine()?.Trim() ?? string.Empty;
        return token.Length >= LeastToken && token.All(c => c is > ' ' and < '\x7f')
            ? token
            : throw CliException.Usage(
                $"the token in {file} is shorter than {LeastToken} characters, or has others than printable ASCII",
                "head -c 24 /dev/urandom | base64 makes a good one");
    }

    /// <summary>Connects; a <see cref="SocketException"/> where no server listens.</summary>
    public Socket Connect()
    {
        EndPoint end = Socket is { } path ? new UnixDomainSocketEndPoint(path) : Port!;
        var socket = new Socket(end.AddressFamily, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            socket.Connect(end);
            if (Socket is null)
            {
                socket.NoDelay = true;
            }

            return socket;
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <summary>Whether a server listens there at this moment.</summary>
    public bool IsLive()
    {
        try
        {
            Connect().Dispose();
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }

    public override string ToString() => Socket is { } path ? Unix + path : Port!.ToString();
}
