extern alias sites;

using System;
using System.Linq;
using sites::Quietus.Oracle.Sites;
using Xunit;

namespace Quietus.Oracle.Tests;

public class SiteTests(ITestOutputHelper output)
{
    [Fact]
    public void Explore()
    {
        for (int site = 0; site < Site.Names.Count; site++)
        {
            long start = Environment.TickCount64;
            SiteKill? kill = Site.Search(site, 1, 600);
            output.WriteLine($"{site} | {Site.Names[site]} | {kill?.Rule} | {kill?.Reader} | {kill?.Programs} | {kill?.Steps} | {Environment.TickCount64 - start} ms");
        }
    }
}
