# Types what README.md shows, section by section, as a reader would: each command is taken from there, runs without an error, and writes
# what is shown behind it. Ports are free ones in the place of those that are written down.
[Diagnostics.CodeAnalysis.SuppressMessageAttribute('PSUseDeclaredVarsMoreThanAssignments', '', Justification = 'BeforeAll sets, It reads.')]
param()

BeforeDiscovery {
    Import-Module "$PSScriptRoot/Documents/Readme.psm1"
    $sections = foreach ($section in Read-Readme "$([System.IO.Path]::GetFullPath("$PSScriptRoot/../.."))/README.md") {
        foreach ($step in $section.Steps) { $step.Title = "line $($step.Line): " + ($step.Text -split "`n")[0] }
        if ($section.Steps.Count -gt 0) { @{ Title = $section.Title; Steps = $section.Steps } }
    }
}

BeforeAll {
    $root = [System.IO.Path]::GetFullPath("$PSScriptRoot/../..")
    Import-Module "$root/C10kServer.psd1"
    Import-Module "$PSScriptRoot/../Clients/TestClient.psm1"
    Import-Module "$PSScriptRoot/Documents/Readme.psm1"
    Import-Module "$PSScriptRoot/Documents/Reader.psm1"
    $folders = "$env:PATH".Split(':') + '/usr/sbin', '/sbin'
    $find = { param($name) @(foreach ($folder in $folders) { if ([System.IO.File]::Exists("$folder/$name")) { "$folder/$name" } })[0] }

    # Commands that are not run here, each with what runs them.
    $elsewhere = @{
        '^dotnet test$' = 'it runs this'
        '^dotnet build$' = 'it has made what runs here'
        '^dotnet run -c Release --project Tests/Benchmark$' = 'it takes twenty minutes; Benchmark.Tests.ps1 runs a part of it'
    }

    # What the reader of a section has at hand, and what he waits for before a command: people are slower than tests.
    $connect = '$peer = [System.Net.Sockets.TcpClient]::new([System.Net.IPEndPoint]::new([ipaddress]"127.0.0.$(1 + $_ % 8)", 0));' +
    '$peer.Connect("127.0.0.1", (Get-C10kServer Main).Port); $peer'
    $until = { param($condition) "while (-not ($condition)) { [System.Threading.Thread]::Sleep(10) }" }
    $scenes = @{
        'The main job' = @{
            Before = @{ 'Where ReadPaused' = & $until '@(Get-C10kConnection | Where-Object ReadPaused).Count -eq 5' }
        }
        'Ten to try' = @{
            Setup = "`$null = Start-C10kServer -Name Main; `$peers = @(1..16 | ForEach-Object { $connect }); " + (& $until '(Get-C10kConnection).Count -eq 16')
            Before = @{ 'Restart-C10kServer' = '$peers.Dispose()' }
        }
        'A service in a line' = @{
            Before = @{
                'HandlerTimeouts' = & $until '(Get-C10kServer Upper).HandlerTimeouts'
                'Get-C10kConnection -Closed' = & $until '@(Get-C10kConnection -Closed).Count -eq 2'
            }
        }
        'A load to measure it' = @{ Setup = '$null = Start-C10kServer -Port 7007' }
        'While it runs' = @{
            Setup = "`$null = Start-C10kServer -Name Main; `$peers = @(1..100 | ForEach-Object { $connect }); " + (& $until '(Get-C10kConnection).Count -eq 100')
            Before = @{ 'Restart-C10kServer' = '$peers.Dispose()' }
        }
        'Acting on connections' = @{
            Setup = "`$null = Start-C10kServer -Name Main -Port 7007; `$peers = @(1..4 | ForEach-Object { $connect }); " + (& $until '(Get-C10kConnection).Count -eq 4')
            # Clients that come and reset while the reader watches.
            Beside = @{
                'Watch-C10kConnection' = 'echo begun; for i in $(seq 60); do ' +
                'dotnet run --project Tests/Clients -- misbehave --kind reset --port 7007 >/dev/null; sleep 0.1; done'
            }
        }
        'From another machine, over SSH' = @{
            Needs = 'sshd', 'ssh'
            Before = @{
                '$rows = ' = 'Invoke-Command $web1 {
                    $peers = 1, 2 | ForEach-Object { [System.Net.Sockets.TcpClient]::new("127.0.0.1", (Get-C10kServer Web).Port) }
                    while ((Get-C10kConnection).Count -ne 2) { [System.Threading.Thread]::Sleep(10) }
                    (Get-C10kConnection)[0] | Close-C10kConnection
                }'
            }
        }
    }

    # Another machine is an sshd of the reader's own, without a port: ssh talks to it through a pipe.
    function Add-Machine($reader) {
        $folder = "$($reader.Folder)/ssh"
        $null = [System.IO.Directory]::CreateDirectory($folder, [System.IO.UnixFileMode]'UserRead, UserWrite, UserExecute')
        foreach ($key in 'host', 'user') { $null = Invoke-Terminal $reader "ssh-keygen -q -t ed25519 -N '' -f '$folder/$key'" }
        Write-Program "$folder/pwsh" "exec '$($reader.Folder)/bin/pwsh' -sshs -NoLogo -NoProfile"
        [System.IO.File]::WriteAllText("$folder/sshd_config", @"
HostKey $folder/host
AuthorizedKeysFile $folder/user.pub
StrictModes no
UsePAM no
PermitRootLogin yes
PasswordAuthentication no
Subsystem powershell $folder/pwsh
"@)
        [System.IO.File]::WriteAllText("$folder/ssh_config", @"
Host web1
    ProxyCommand $(& $find sshd) -i -f $folder/sshd_config
    User $([Environment]::UserName)
    IdentityFile $folder/user
    IdentitiesOnly yes
    StrictHostKeyChecking no
    UserKnownHostsFile /dev/null
    LogLevel ERROR
"@)
        Write-Program "$($reader.Folder)/bin/ssh" "exec $(& $find ssh) -F '$folder/ssh_config' `"`$@`""
    }

    # Why a step cannot be run on this machine, or nothing.
    function Get-Obstacle($step) {
        if ($step.Kind -eq 'Shell') {
            foreach ($program in [regex]::Matches($step.Text, '(?:^|\| )([\w-]+)').ForEach({ $_.Groups[1].Value })) {
                if ($program -in 'nc', 'systemd-analyze', 'systemd-socket-activate' -and -not (& $find $program)) { return "$program is not installed" }
            }
        }
    }
}

Describe 'README.md: <Title>' -ForEach $sections {
    BeforeAll {
        $scene = if ($scenes[$Title]) { $scenes[$Title] } else { @{} }
        $missing = @($scene.Needs).Where({ $_ -and -not (& $find $_) })
        $reader = Open-Reader $root
        if ($missing) { $reader.SkipRest = "$missing is not installed" }
        elseif ($scene.Needs) { Add-Machine $reader }
        if ($scene.Setup) { $null = Invoke-Prompt $reader (Resolve-Port $reader $scene.Setup) }
    }

    AfterAll {
        Close-Reader $reader
    }

    It '<Title>' -ForEach $Steps {
        $text = Resolve-Port $reader $Text
        $shown = @($Output) -ne ''
        if ($reader.SkipRest) { Set-ItResult -Skipped -Because $reader.SkipRest }
        $other = $elsewhere.Keys.Where({ $Text -match $_ })
        if ($other) { Set-ItResult -Skipped -Because $elsewhere[$other[0]] }
        $obstacle = Get-Obstacle $_
        if ($obstacle) {
            # What a terminal was to do is missed by what comes after it; a look at the prompt is not.
            if ($Kind -eq 'Shell') { $reader.SkipRest = "a step before it was left out: $obstacle" }
            Set-ItResult -Skipped -Because $obstacle
        }

        foreach ($key in $scene.Before.Keys) {
            if ($Text.Contains($key)) { $null = Invoke-Prompt $reader $scene.Before[$key] }
        }

        foreach ($key in $scene.Beside.Keys) {
            if ($Text.Contains($key)) { $null = Invoke-Terminal $reader (Resolve-Port $reader $scene.Beside[$key]) -Shown begun }
        }

        $actual = switch ($Kind) {
            'PowerShell' { Invoke-Prompt $reader $text -Shown $(if ($Interrupted) { $shown }) }
            'Shell' { Invoke-Terminal $reader $text -Shown $shown }
            'File' { [System.IO.File]::WriteAllText("$($reader.Clone)/$Name", $text.Replace('/usr/bin/pwsh', "$($reader.Folder)/bin/pwsh")) }
            default { throw "README.md, line ${Line}: this is no command that the test knows how to run: $Text" }
        }

        if ($shown -and -not $Interrupted) { Get-Shape $actual | Should -Be (Get-Shape $shown) }
    }

    It 'uses each file that it shows' {
        $commands = @($Steps.Where({ $_.Kind -ne 'File' }).Text)
        foreach ($file in $Steps.Where({ $_.Kind -eq 'File' }).Name) { "$commands" | Should -Match ([regex]::Escape("./$file")) }
    }
}

Describe 'README.md, between the lines' {
    It 'names cmdlets and parameters that there are' {
        $text = [System.IO.File]::ReadAllText("$root/README.md")
        $snippets = [regex]::Matches($text, '(?<!`)`([^`\n]+)`').ForEach({ $_.Groups[1].Value })
        $commands = foreach ($snippet in $snippets) {
            $tree = [System.Management.Automation.Language.Parser]::ParseInput($snippet, [ref]$null, [ref]$null)
            $tree.FindAll({ $args[0] -is [System.Management.Automation.Language.CommandAst] }, $true)
        }
        $ours = @($commands.Where({ $_.GetCommandName() -match '^\w+-C10k\w+$' }))
        $ours.Count | Should -BeGreaterThan 3
        foreach ($command in $ours) {
            $metadata = Get-Command $command.GetCommandName() -ErrorAction Stop
            foreach ($parameter in $command.CommandElements.ParameterName) {
                if ($parameter) { $metadata.ResolveParameter($parameter) | Should -Not -BeNullOrEmpty -Because "$command" }
            }
        }
    }

    It 'names parameters of Start-C10kServer by themselves that some cmdlet has' {
        $text = [System.IO.File]::ReadAllText("$root/README.md")
        $all = (Get-Command -Module C10kServer -CommandType Cmdlet).Parameters.Keys
        foreach ($match in [regex]::Matches($text, '`-([A-Z]\w+)[^`\n]*`')) {
            if ($match.Value -notmatch '^`-(Command|File|CI|HideComputerName)\b') { $all | Should -Contain $match.Groups[1].Value -Because $match.Value }
        }
    }

    It 'explains each value of <_>, and no other' -ForEach 'ConnectionState', 'CloseReason', 'ServerState' {
        $section = [regex]::Match([System.IO.File]::ReadAllText("$root/README.md"), '(?s)\n## What the states say\n.*?\n## ').Value
        $tables = [regex]::Matches($section, '(?m)(?:^\|.*\n)+').ForEach({ , [regex]::Matches($_.Value, '(?m)^\| `(\w+)`').ForEach({ $_.Groups[1].Value }) })
        $names = [enum]::GetNames([C10kServer.Server].Assembly.GetType("C10kServer.$_"))
        @($tables.Where({ [System.Collections.Generic.HashSet[string]]::new([string[]]$_).SetEquals([string[]]$names) })).Count | Should -Be 1
    }
}
