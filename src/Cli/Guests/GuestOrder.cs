using System.Globalization;
using System.Text;
using Quietus.Cli.Monitoring;

namespace Quietus.Cli.Guests;

/// <summary>The monitor's command that creates a VM.</summary>
internal sealed record GuestOrder(
    string Guest, long MemoryBytes, int Cpus, string Pages, MaintenancePolicy Policy, string Append)
{
    /// <summary>The longest kernel command line that fits beside the rest of the command, in bytes.</summary>
    public const int MostAppend = 800;

    /// <summary>The guest gets no random seeds, so that what is measured repeats.</summary>
    public bool IsRepeatable { get; init; }

    /// <summary>The guest gets sockets, by which programs of a host reach it.</summary>
    public bool HasSockets { get; init; }

    /// <summary>The guest gets a network device, which leads to the machine's own.</summary>
    public bool HasUplink { get; init; }

    /// <summary>Its vCPUs' shares of busy cores; null for the usual.</summary>
    public int? Weight { get; init; }

    /// <summary>The cores that its vCPUs may use, as the monitor reads them; null for all.</summary>
    public string? Cores { get; init; }

    public string Command
    {
        get
        {
            var command = new StringBuilder();
            command.Append(
                CultureInfo.InvariantCulture,
                $"create guest={Guest} memory={MemoryBytes} cpus={Cpus} pages={Pages} policy={Policy.Name}");
            if (IsRepeatable)
            {
                command.Append(" random=off");
            }

            if (HasSockets)
            {
                command.Append(" vsock=on");
            }

            if (HasUplink)
            {
                command.Append(" uplink=on");
            }

            if (Weight is int weight)
            {
                command.Append(CultureInfo.InvariantCulture, $" weight={weight}");
            }

            if (Cores is not null)
            {
                command.Append(" cores=").Append(Cores);
            }

            if (Append.Length > 0)
            {
                // Always quoted: a kernel command line has equals signs and spaces of its own.
                string quoted = KeyValueLine.Quote(Append);
                command.Append(" append=").Append(quoted[0] == '"' ? quoted : "\"" + quoted + "\"");
            }

            return command.ToString();
        }
    }
}
