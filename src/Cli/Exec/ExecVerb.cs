using System;
using System.CommandLine;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Processes;
using Quietus.Cli.Qemu;
using Quietus.Cli.Reports;
using Quietus.Cli.Serve;
using Quietus.Cli.Templates;

namespace Quietus.Cli.Exec;

/// <summary><c>quietus exec</c>: a program in a VM of its own, born for it and dead after it.</summary>
internal static class ExecVerb
{
    /// <summary>The hypervisor has 16 slots, and the template keeps one.</summary>
    private const int MostParallel = 15;

    private const string NoServer = "none";
    private const int MostRepeats = 1_000_000;

    private static readonly Value<string?> _template =
        Values.Text("--template", "name", "A kept template (./quietus template list) instead of --image");

    private static readonly Value<string?> _image = new(
        "--image", "path",
        "Root file system: a folder, a tar archive, an OCI layout, an ext4 file [default: busybox]", ReadImage);

    private static readonly Value<long?> _memory = new(
        "--memory", "size", "The VM's memory [default: 256M, or what the image needs]",
        text => CommonOptions.ReadMemory(text));

    private static readonly Value<int?> _cpus = CommonOptions.Cpus("1");
    private static readonly Value<CpuModel> _cpu = CommonOptions.Cpu();

    private static readonly Value<TimeSpan?> _timeout =
        Values.Time("--timeout", "End the program after this long, with exit code 124");

    private static readonly Value<TimeSpan?> _bootTimeout =
        Values.Time("--boot-timeout", "How long the machine may take to be ready [default: 2m]");

    private static readonly Repeated<string> _environment = new(
        "--env", "NAME=VALUE", "A variable of the program's environment; NAME alone takes this process's",
        ReadVariable);

    private static readonly Value<string?> _folder =
        Values.Text("--workdir", "path", "Where the program begins [default: the image's, or the user's home]");

    private static readonly Value<string?> _user =
        Values.Text("--user", "user[:group]", "Who runs it, by name or number [default: the image's, or root]");

    private static readonly Repeated<FileCopy> _in =
        new("--copy-in", "SRC:DST", "Copy a file or folder of this host into the VM first", FileCopy.ReadIn);

    private static readonly Repeated<FileCopy> _out =
        new("--copy-out", "SRC:DST", "Copy a file of the VM, or a folder/, to this host afterwards", FileCopy.ReadOut);

    private static readonly Value<string?> _network = CommonOptions.Network(standard: null);

    private static readonly Option<bool> _interactive = new("--interactive", "-i")
    {
        Description = "Standard input goes to the program also when it is a terminal",
    };

    private static readonly Option<bool> _terminal = new("--tty", "-t")
    {
        Description = "The program gets a terminal, of this one's size",
    };

    private static readonly Value<int?> _repeat = Values.Number(
        "--repeat", "Run it so often, and print how long births, runs and deaths took", "number of runs", 1,
        MostRepeats, "1");

    private static readonly Value<int?> _parallel = Values.Number(
        "--parallel", "VMs at a time", "number of VMs", 1, MostParallel, "1");

    private static readonly Value<string?> _json =
        Values.Text("--json", "file", $"Write the figures as JSON ({ExecDocument.Name})");

    private static readonly Value<string?> _server = new(
        "--server", "where",
        "A running serve: unix:PATH, 127.0.0.1:PORT, or none [default: $QUIETUS_SERVER, or the standard socket]",
        ReadServer);

    private static readonly Value<string?> _token = Values.Text(
        "--token-file", "file",
        "Its first line is the token that a server on TCP wants [default: $QUIETUS_TOKEN_FILE]");

    private static readonly Argument<string[]> _command = new("command")
    {
        Description = "The program and its arguments, after --",
        Arity = ArgumentArity.ZeroOrMore,
    };

    public static Command Make(CancellationToken cancellation)
    {
        var command = new Command("exec", "Run a program in a Linux VM of its own")
        {
            _template, _image, _memory, _cpus, _cpu, _timeout, _bootTimeout, _environment, _folder, _user, _in, _out,
            _network, _interactive, _terminal, _repeat, _parallel, _json, _server, _token, _command,
        };
        command.SetAction((result, _) => RunAsync(result, cancellation));
        return command;
    }

    private static async Task<int> RunAsync(ParseResult result, CancellationToken cancellation)
    {
        ExecPlan plan = Read(result);
        if (Commands.OnlyValidates(result))
        {
            return ExitCode.Ok;
        }

        return await new ExecSession(plan).RunAsync(cancellation).ConfigureAwait(false);
    }

    private static ExecPlan Read(ParseResult result)
    {
        string? template = _template.Of(result);
        bool? network = _network.Of(result) is { } kind ? CommonOptions.HasNetwork(kind) : null;
        if (template is not null)
        {
            CommonOptions.Refuse(
                result, [_image, _memory, _cpus], "with --template", "the template has it; leave one of them out");
            if (ServedTemplate.IsBuiltIn(template))
            {
                network ??= ServedTemplate.HasNetwork(template);
                template = null;
            }
            else if (!_server.IsGiven(result) || _server.Of(result) == NoServer)
            {
                TemplateStore.Load(template);
            }
        }

        int repeat = _repeat.Of(result)!.Value;
        int parallel = _parallel.Of(result)!.Value;
        if (repeat > 1)
        {
            CommonOptions.Refuse(
                result, [_interactive, _terminal, _in, _out], "with --repeat", "leave it, or --repeat, out");
        }

        if (parallel > repeat)
        {
            throw CliException.Usage(
                $"--parallel {parallel} means nothing with --repeat {repeat}", "give at least as many runs");
        }

        if (_json.Of(result) is { } json)
        {
            if (repeat == 1 && ResultFile.IsStandardOutput(json))
            {
                throw CliException.Usage("the program has standard output", "let --json name a file");
            }

            ResultFile.Check([("--json", json)]);
        }

        bool copiesFolder = _in.Of(result).Concat(_out.Of(result)).Any(copy => copy.IsFolder);
        string? server = _server.Of(result) ?? Set("QUIETUS_SERVER");
        string? token = _token.Of(result) ?? Set("QUIETUS_TOKEN_FILE");
        bool isOwn = server == NoServer;
        return new ExecPlan
        {
            Recipe = new TemplateRecipe
            {
                Image = _image.Of(result),
                MemoryBytes = _memory.Of(result) ?? 0,
                Cpus = _cpus.Of(result)!.Value,
                HasNetwork = network ?? false,
            },
            Template = template,
            HasNetwork = template is null ? network ?? false : network,
            Cpu = _cpu.Of(result),
            Command = result.GetValue(_command) ?? [],
            Environment = _environment.Of(result),
            User = _user.Of(result),
            WorkingFolder = _folder.Of(result),
            In = _in.Of(result),
            Out = _out.Of(result),
            Limit = _timeout.Of(result),
            BootLimit = _bootTimeout.Of(result) ?? TimeSpan.FromMinutes(2),
            HasTerminal = result.GetValue(_terminal),
            IsInteractive = result.GetValue(_interactive),
            Repeat = repeat,
            Parallel = parallel,
            Json = _json.Of(result),
            Server = isOwn ? null
                : server is null ? new ServerAddress(ServerAddress.StandardSocket, null)
                : ServerAddress.Read(server),
            Token = isOwn || token is null ? null : ServerAddress.ReadToken(token),
            NeedsServer = _server.IsGiven(result) && !isOwn,
            ServerTemplate = copiesFolder ? null
                : template ?? (CommonOptions.AnyGiven(result, [_image, _memory, _cpus, _cpu]) ? null
                    : network == true ? ServedTemplate.BusyboxOnline : ServedTemplate.Busybox),
        };
    }

    private static string? Set(string variable) =>
        Environment.GetEnvironmentVariable(variable) is { Length: > 0 } value ? value : null;

    private static string ReadServer(string text)
    {
        if (text != NoServer)
        {
            ServerAddress.Read(text);
        }

        return text;
    }

    private static string ReadImage(string path) => FileStatus.Of(path) is not null
        ? path
        : throw CliException.Usage($"the image {path} is not there", "check the path given with --image");

    private static string ReadVariable(string text)
    {
        int equals = text.IndexOf('=', StringComparison.Ordinal);
        return equals > 0 ? text
            : equals < 0 && text.Length > 0 ? text + "=" + Environment.GetEnvironmentVariable(text)
            : throw CliException.Usage($"'{text}' names no variable", "--env takes NAME=VALUE");
    }
}
