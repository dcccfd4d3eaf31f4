# Drives the client of this folder from a test: a process of its own, since client and server together would pass the
# descriptor limit.

function Find-TestProgram {
    <#
    .SYNOPSIS
        The newest build of one of the test programs, and the dotnet that runs it.
    #>
    [CmdletBinding()]
    [OutputType([hashtable])]
    param([string] $Folder, [string] $Name)

    $newest = $null
    if ([System.IO.Directory]::Exists("$Folder/bin")) {
        foreach ($path in [System.IO.Directory]::GetFiles("$Folder/bin", "$Name.dll", 'AllDirectories')) {
            if ($path -match '/ref/') { continue }
            if (-not $newest -or [System.IO.File]::GetLastWriteTimeUtc($path) -gt [System.IO.File]::GetLastWriteTimeUtc($newest)) {
                $newest = $path
            }
        }
    }

    if (-not $newest) {
        throw [System.IO.FileNotFoundException]::new("$Name is not built yet: run 'dotnet build' first.")
    }

    # The one that this process runs on; in a pwsh that brings its own runtime, the one on the path.
    $runtime = [System.Runtime.InteropServices.RuntimeEnvironment]::GetRuntimeDirectory()
    $dotnet = [System.IO.Path]::GetFullPath([System.IO.Path]::Combine($runtime, '../../../dotnet'))
    if (-not [System.IO.File]::Exists($dotnet)) { $dotnet = 'dotnet' }
    @{ Dotnet = $dotnet; Path = $newest }
}

# The watch for what a test allows: it hardly counts the time in which the machine or the process stood still.
$null = [System.Reflection.Assembly]::LoadFrom((Find-TestProgram -Folder $PSScriptRoot -Name C10kServer.Clients).Path)

function Open-TestClient {
    <#
    .SYNOPSIS
        Starts the client with a command line; what it prints is read with Read-TestClient.
    #>
    [CmdletBinding()]
    [OutputType([System.Diagnostics.Process])]
    param([Parameter(Mandatory)] [string[]] $Argument)

    $program = Find-TestProgram -Folder $PSScriptRoot -Name C10kServer.Clients
    $start = [System.Diagnostics.ProcessStartInfo]::new($program.Dotnet)
    $start.RedirectStandardInput = $start.RedirectStandardOutput = $true
    foreach ($text in @('exec', $program.Path) + $Argument) { $start.ArgumentList.Add($text) }
    [System.Diagnostics.Process]::Start($start)
}

function Read-TestClient {
    <#
    .SYNOPSIS
        The client's next line, as a hashtable of its keys; Line is the whole.
    #>
    [CmdletBinding()]
    [OutputType([hashtable])]
    param([Parameter(Mandatory)] [System.Diagnostics.Process] $Client, [int] $Seconds = 300)

    $line = $Client.StandardOutput.ReadLineAsync()
    if (-not $line.Wait($Seconds * 1000)) { throw "The client said nothing for $Seconds s." }
    if ($null -eq $line.Result) { throw "The client has ended, with code $($Client.ExitCode)." }
    $answer = @{ Line = $line.Result }
    foreach ($word in $line.Result -split ' ') {
        $key, $value = $word -split '=', 2
        $number = 0L
        if ($null -ne $value) { $answer[$key] = if ([long]::TryParse($value, [ref] $number)) { $number } else { $value } }
    }

    $answer
}

function Invoke-TestClient {
    <#
    .SYNOPSIS
        Gives a holding client a line, and returns its answer.
    #>
    [CmdletBinding()]
    [OutputType([hashtable])]
    param(
        [Parameter(Mandatory)] [System.Diagnostics.Process] $Client,
        [Parameter(Mandatory)] [string] $Line,
        [int] $Seconds = 300
    )

    $Client.StandardInput.WriteLine($Line)
    $Client.StandardInput.Flush()
    Read-TestClient -Client $Client -Seconds $Seconds
}

function Close-TestClient {
    <#
    .SYNOPSIS
        Ends the client, by its standard input's end or, after two minutes, by force; returns its exit code.
    #>
    [CmdletBinding()]
    [OutputType([int])]
    param([Parameter(Mandatory)] [System.Diagnostics.Process] $Client)

    $Client.StandardInput.Close()
    if (-not $Client.WaitForExit(120000)) { $Client.Kill() }
    $Client.WaitForExit()
    $Client.ExitCode
    $Client.Dispose()
}

function Wait-Until {
    <#
    .SYNOPSIS
        Looks again and again until a condition holds; fails at the deadline.
    #>
    [CmdletBinding()]
    param([Parameter(Mandatory)] [scriptblock] $Condition, [int] $Seconds = 120, [string] $Because = "$Condition")

    $deadline = [C10kServer.Tests.Shared.RunningWatch]::StartNew()
    while (-not (& $Condition)) {
        if ($deadline.Elapsed.TotalSeconds -gt $Seconds) { throw "Not within $Seconds s: $Because" }
        [System.Threading.Thread]::Sleep(10)
    }
}

function Get-ProcessLedger {
    <#
    .SYNOPSIS
        What the kernel has of this process: sockets, epolls and eventfds, and threads of the engine.
    #>
    [CmdletBinding()]
    [OutputType([hashtable])]
    param()

    $descriptors = 0
    foreach ($link in [System.IO.Directory]::GetFileSystemEntries('/proc/self/fd')) {
        $target = [System.IO.FileInfo]::new($link).LinkTarget
        if ($target -match '^socket:|\[event') { $descriptors++ }
    }

    $threads = 0
    foreach ($task in [System.IO.Directory]::GetDirectories('/proc/self/task')) {
        $name = try { [System.IO.File]::ReadAllText("$task/comm") } catch [System.IO.IOException] { 'it has just ended' }
        if ($name -like 'c10k*') { $threads++ }
    }

    @{ Descriptors = $descriptors; Threads = $threads }
}

function Wait-ProcessLedger {
    <#
    .SYNOPSIS
        Waits until descriptors and threads are back at a base line: a thread that has ended stays in /proc for a moment.
    #>
    [CmdletBinding()]
    param([Parameter(Mandatory)] [hashtable] $Base)

    Wait-Until -Because "descriptors at $($Base.Descriptors), threads at $($Base.Threads)" -Condition {
        $now = Get-ProcessLedger
        $now.Threads -le $Base.Threads -and $now.Descriptors -le $Base.Descriptors
    }
}

function Get-ResidentMemory {
    <#
    .SYNOPSIS
        The bytes of this process that are in memory. Apart from the ledger, which with ten thousand descriptors takes several itself.
    #>
    [CmdletBinding()]
    [OutputType([long])]
    param()

    $kib = [regex]::Match([System.IO.File]::ReadAllText('/proc/self/status'), 'VmRSS:\s+(\d+)').Groups[1].Value
    1024 * [long]$kib
}

Export-ModuleMember -Function Open-TestClient, Read-TestClient, Invoke-TestClient, Close-TestClient, Wait-Until, Get-ProcessLedger, Wait-ProcessLedger, Get-ResidentMemory, Find-TestProgram
