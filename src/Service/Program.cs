using System.Threading.Tasks;
using Quietus.Cli.Serve;

namespace Quietus.Service;

/// <summary>The command line with a server in it.</summary>
internal static class Program
{
    public static Task<int> Main(string[] arguments)
    {
        ServeVerb.Run = ApiServer.RunAsync;
        return Cli.Program.Main(arguments);
    }
}
