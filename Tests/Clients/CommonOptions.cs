using System.Net;

namespace C10kServer.Clients;

/// <summary>What all commands are given.</summary>
/// <param name="Size">The bytes of a message.</param>
/// <param name="Sources">Over how many addresses, from 127.0.0.1 on, the connections are spread.</param>
/// <param name="Connecting">How many connects are in flight at most.</param>
/// <param name="Timeout">After so long the command gives up.</param>
/// <param name="Seed">Makes other payloads of the same connection numbers.</param>
/// <param name="Lines">The payload is lines of text, each of the size.</param>
/// <param name="Unverified">For a server that does not echo: what comes is counted only.</param>
internal sealed record CommonOptions(
    IPAddress Address, int Port, int Count, int Size, int Sources, int Connecting, TimeSpan Timeout, int Seed, bool Lines, bool Unverified);
